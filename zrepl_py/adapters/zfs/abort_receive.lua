-- Throw away a partial receive if its token is still the expected one. argv: dataset, token.
-- Returns dataset -> "aborted" | "none" | "error ERRNO".
-- Only ever destroys DATASET/%recv, or a DATASET that consists of nothing but a first partial
-- receive: it carries the token itself, is inconsistent, and has no snapshot.
args = ...
local argv = args["argv"]
local dataset, expected = argv[1], argv[2]
if not zfs.exists(dataset) then return { [dataset] = "none" } end
local token = zfs.get_prop(dataset, "receive_resume_token")
if token ~= expected then return { [dataset] = "none" } end

local victim = dataset .. "/%recv"
if not zfs.exists(victim) then
  local inconsistent = zfs.get_prop(dataset, "inconsistent")
  if inconsistent ~= 1 then return { [dataset] = "none" } end
  for snapshot in zfs.list.snapshots(dataset) do return { [dataset] = "none" } end
  victim = dataset
end
local e = zfs.check.destroy(victim)
if e == 0 then e = zfs.sync.destroy(victim) end
if e ~= 0 then return { [dataset] = "error " .. e } end
return { [dataset] = "aborted" }
