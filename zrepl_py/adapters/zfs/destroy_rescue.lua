-- Destroy one dataset of a rescue, with its snapshots, if it is still that one and a rescue's.
-- argv: dataset, guid of the dataset in decimal, the rescue's snapshot after the @.
-- Returns dataset -> "destroyed" | "gone" | "other" | "error ERRNO".
-- All checks come first: nothing that has a child, a clone, a hold, or another guid is touched, and
-- nothing but what has the rescue's snapshot, or is an empty placeholder.
args = ...
local argv = args["argv"]
local dataset, expected, wanted = argv[1], argv[2], argv[3]
if not zfs.exists(dataset) then return { [dataset] = "gone" } end
local guid = zfs.get_prop(dataset, "guid")
if string.format("%u", guid) ~= expected then return { [dataset] = "other" } end
for child in zfs.list.children(dataset) do return { [dataset] = "error 39" } end

local snapshots, marked = {}, false
for snapshot in zfs.list.snapshots(dataset) do
  local e = zfs.check.destroy(snapshot)
  if e ~= 0 then return { [dataset] = "error " .. e } end
  if snapshot == dataset .. "@" .. wanted then marked = true end
  table.insert(snapshots, snapshot)
end
-- Without one it may be what held others of the rescue: a placeholder of zr's.
if #snapshots == 0 then
  local mark, source = zfs.get_prop(dataset, "zr:placeholder")
  marked = mark == "on" and source == dataset
end
if not marked then return { [dataset] = "other" } end
for _, snapshot in ipairs(snapshots) do
  local e = zfs.sync.destroy(snapshot)
  if e ~= 0 then return { [dataset] = "error " .. e } end
end
local e = zfs.check.destroy(dataset)
if e == 0 then e = zfs.sync.destroy(dataset) end
if e ~= 0 then return { [dataset] = "error " .. e } end
return { [dataset] = "destroyed" }
