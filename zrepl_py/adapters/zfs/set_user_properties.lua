-- Set and remove user properties of one dataset in one txg.
-- argv: dataset, then pairs (property, "=" .. value | "-" to remove it).
-- Returns dataset -> "set" | "error ERRNO"; with an error nothing was changed.
args = ...
local argv = args["argv"]
local dataset = argv[1]
if not zfs.exists(dataset) then return { [dataset] = "error 2" } end

local function each(module)
  local i = 2
  while argv[i] ~= nil do
    local property, value = argv[i], argv[i + 1]
    i = i + 2
    local e
    if value == "-" then
      e = module.inherit(dataset, property)
    else
      e = module.set_prop(dataset, property, string.sub(value, 2))
    end
    if e ~= 0 then return e end
  end
  return 0
end

local e = each(zfs.check)
if e == 0 then e = each(zfs.sync) end
if e ~= 0 then return { [dataset] = "error " .. e } end
return { [dataset] = "set" }
