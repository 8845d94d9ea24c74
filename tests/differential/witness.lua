-- Words about every dataset below a root that change whenever something of it does. argv: root.
-- Returns dataset -> four parts, parted by a line with a dot: what it is, its versions, how often
-- each is held, its resume token. Whether it is mounted is added by real_world.py.
-- Every get_prop is dear (0.5 ms in the lab), so only what an operation may change is asked for; the
-- look at the end of a sequence goes by no witness.
args = ...
local root = args["argv"][1]
local out, origins = {}, {}
local properties = { "compression", "recordsize", "readonly" }

local function versions(dataset)
  local words, holds = {}, {}
  for snapshot in zfs.list.snapshots(dataset) do
    words[#words + 1] = snapshot
    words[#words + 1] = string.format("%u", zfs.get_prop(snapshot, "guid"))
    holds[#holds + 1] = string.format("%u", zfs.get_prop(snapshot, "userrefs"))
    for clone in zfs.list.clones(snapshot) do origins[clone] = snapshot end
  end
  for bookmark in zfs.list.bookmarks(dataset) do words[#words + 1] = bookmark end
  return table.concat(words, "\n"), table.concat(holds, " ")
end

local function nature(dataset)
  local words = {}
  words[1] = string.format("%u", zfs.get_prop(dataset, "guid"))
  words[2] = tostring(zfs.get_prop(dataset, "inconsistent"))
  for name, value, source in zfs.list.user_properties(dataset) do
    words[#words + 1] = name .. "=" .. tostring(value) .. " " .. tostring(source)
  end
  for _, name in ipairs(properties) do
    local value, source = zfs.get_prop(dataset, name)
    words[#words + 1] = name .. "=" .. tostring(value) .. " " .. tostring(source)
  end
  return table.concat(words, "\n")
end

local function look(dataset)
  local token = zfs.get_prop(dataset, "receive_resume_token") or ""
  local names, holds = versions(dataset)
  if dataset ~= root then
    out[dataset] = { nature(dataset), names, holds, token }
  end
  for child in zfs.list.children(dataset) do look(child) end
end

look(root)
for dataset, parts in pairs(out) do
  parts[1] = parts[1] .. "\n" .. (origins[dataset] or "no clone")
  out[dataset] = table.concat(parts, "\n.\n")
end
return out
