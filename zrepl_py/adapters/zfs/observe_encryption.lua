-- Whether a dataset is encrypted. argv: dataset. Returns dataset -> "off" | "on" | "none".
args = ...
local dataset = args["argv"][1]
if not zfs.exists(dataset) then return { [dataset] = "none" } end
local encryption = zfs.get_prop(dataset, "encryption")
if encryption == "off" then return { [dataset] = "off" } end
return { [dataset] = "on" }
