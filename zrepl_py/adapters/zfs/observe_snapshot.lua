-- One snapshot, read back from the pool. argv: snapshot.
-- Returns snapshot -> "snapshot GUID CREATETXG CREATION" | "none".
args = ...
local snapshot = args["argv"][1]
if not zfs.exists(snapshot) then return { [snapshot] = "none" } end
local guid = zfs.get_prop(snapshot, "guid")
local txg = zfs.get_prop(snapshot, "createtxg")
local creation = zfs.get_prop(snapshot, "creation")
return { [snapshot] = string.format("snapshot %u %u %u", guid, txg, creation) }
