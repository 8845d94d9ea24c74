-- Destroy snapshots whose guid is still the expected one: see ports/zfs.py, destroy_snapshots.
-- argv: pairs (snapshot, guid in decimal).
-- Returns snapshot -> "destroyed" | "gone" | "other-guid" | "held" | "cloned" | "busy" | "error N".
args = ...
local argv = args["argv"]
local out, going = {}, {}

local function cause(snapshot, e)
  if e == 17 then return "cloned" end
  if e == 16 then
    local holds = zfs.get_prop(snapshot, "userrefs")
    if holds ~= nil and holds > 0 then return "held" end
    return "busy"
  end
  if e == 2 then return "gone" end
  return "error " .. e
end

local i = 1
while argv[i] ~= nil do
  local snapshot, expected = argv[i], argv[i + 1]
  i = i + 2
  -- check.destroy says 0 for what does not exist.
  if not zfs.exists(snapshot) then
    out[snapshot] = "gone"
  else
    local guid = zfs.get_prop(snapshot, "guid")
    if string.format("%u", guid) ~= expected then
      out[snapshot] = "other-guid"
    else
      local e = zfs.check.destroy(snapshot)
      if e == 0 then
        going[#going + 1] = snapshot
      else
        out[snapshot] = cause(snapshot, e)
      end
    end
  end
end

for _, snapshot in ipairs(going) do
  local e = zfs.sync.destroy(snapshot)
  if zfs.exists(snapshot) then
    out[snapshot] = cause(snapshot, e)
  else
    out[snapshot] = "destroyed"
  end
end
return out
