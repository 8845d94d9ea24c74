-- Set and remove the same user properties of several datasets in one txg.
-- argv: how many datasets, they, then pairs (property, "=" .. value | "-" to remove it).
-- Returns dataset -> "set" | "error ERRNO"; with an error nothing was changed.
args = ...
local argv = args["argv"]
local last = 1 + tonumber(argv[1])

local function each(dataset, module)
  local i = last + 1
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

for at = 2, last do
  local e = 2
  if zfs.exists(argv[at]) then e = each(argv[at], zfs.check) end
  if e ~= 0 then return { [argv[at]] = "error " .. e } end
end
local answer = {}
for at = 2, last do
  local e = each(argv[at], zfs.sync)
  if e ~= 0 then return { [argv[at]] = "error " .. e } end
  answer[argv[at]] = "set"
end
return answer
