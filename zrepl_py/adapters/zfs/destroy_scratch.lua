-- Destroy a scratch dataset of a restore, with its snapshots, if it carries the expected mark of
-- its own. argv: dataset, mark.
-- Returns dataset -> "destroyed" | "gone" | "other" | "error ERRNO".
-- All checks come first: nothing that has a child, a clone, a hold, or another mark is touched.
args = ...
local argv = args["argv"]
local dataset, expected = argv[1], argv[2]
if not zfs.exists(dataset) then return { [dataset] = "gone" } end
local mark, source = zfs.get_prop(dataset, "zr:scratch")
if mark ~= expected or source ~= dataset then return { [dataset] = "other" } end
for child in zfs.list.children(dataset) do return { [dataset] = "other" } end

local snapshots = {}
for snapshot in zfs.list.snapshots(dataset) do
  local e = zfs.check.destroy(snapshot)
  if e ~= 0 then return { [dataset] = "error " .. e } end
  table.insert(snapshots, snapshot)
end
for _, snapshot in ipairs(snapshots) do
  local e = zfs.sync.destroy(snapshot)
  if e ~= 0 then return { [dataset] = "error " .. e } end
end
local e = zfs.check.destroy(dataset)
if e == 0 then e = zfs.sync.destroy(dataset) end
if e ~= 0 then return { [dataset] = "error " .. e } end
return { [dataset] = "destroyed" }
