-- The resume token of a dataset. argv: dataset.
-- Returns dataset -> "token TOKEN" | "none" (also where the dataset does not exist).
args = ...
local dataset = args["argv"][1]
if not zfs.exists(dataset) then return { [dataset] = "none" } end
local token = zfs.get_prop(dataset, "receive_resume_token")
if token == nil or token == "" then return { [dataset] = "none" } end
return { [dataset] = "token " .. token }
