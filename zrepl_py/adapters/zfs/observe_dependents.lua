-- What stands on snapshots: see ports/zfs.py, observe_dependents. argv: snapshots.
-- Returns snapshot -> lines, each "tag TAG", "clone DATASET" or "in-use"; "" where nothing stands
-- on it. One that does not exist is left out.
args = ...
local out = {}
for _, snapshot in ipairs(args["argv"]) do
  if zfs.exists(snapshot) then
    local lines, held = {}, false
    for tag in zfs.list.holds(snapshot) do
      lines[#lines + 1] = "tag " .. tag
      held = true
    end
    for clone in zfs.list.clones(snapshot) do lines[#lines + 1] = "clone " .. clone end
    -- EBUSY says both "held" and "in use".
    if not held and zfs.check.destroy(snapshot) == 16 then lines[#lines + 1] = "in-use" end
    out[snapshot] = table.concat(lines, "\n")
  end
end
return out
