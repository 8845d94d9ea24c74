-- What was written since a snapshot. argv: a property, dataset, guid of the snapshot.
-- Returns dataset -> "written BYTES PROPERTY'S-VALUE" | "unknown" (no such snapshot) | "none" (no
-- such dataset).
args = ...
local property, dataset, guid = args["argv"][1], args["argv"][2], args["argv"][3]
if not zfs.exists(dataset) then return { [dataset] = "none" } end
for snapshot in zfs.list.snapshots(dataset) do
  local found = zfs.get_prop(snapshot, "guid")
  if string.format("%u", found) == guid then
    local written = zfs.get_prop(dataset, "written@" .. string.match(snapshot, "@(.*)"))
    local value = zfs.get_prop(dataset, property)
    return { [dataset] = string.format("written %u %s", written, value or "") }
  end
end
return { [dataset] = "unknown" }
