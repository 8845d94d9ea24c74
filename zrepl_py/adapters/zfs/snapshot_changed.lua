-- Take @name of every dataset that changed, or of none: see ports/zfs.py, snapshot_changed.
-- argv: name, then pairs (dataset, name of the snapshot since which a change counts, or "").
-- Returns dataset -> "taken GUID CREATETXG CREATION" | "unchanged" | "unfinished"
-- (nothing but a first receive that has not ended) | "error ERRNO".
-- Where any "error" is returned, no snapshot of this call is left.
args = ...
local argv = args["argv"]
local name = argv[1]
local out, failed, changed, failed_any = {}, {}, {}, false

local function fail(dataset, number)
  failed[dataset] = "error " .. number
  failed_any = true
end

-- All checks first: a channel program is not a transaction.
local i = 2
while argv[i] ~= nil do
  local dataset, last = argv[i], argv[i + 1]
  i = i + 2
  if not zfs.exists(dataset) then
    fail(dataset, 2)
  elseif zfs.get_prop(dataset, "inconsistent") == 1 then
    out[dataset] = "unfinished"
  else
    local written = 1
    if last ~= "" and zfs.exists(dataset .. "@" .. last) then
      -- In syncing context this has seen the writes of this very txg.
      written = zfs.get_prop(dataset, "written@" .. last)
    end
    if written == 0 then
      out[dataset] = "unchanged"
    else
      local e = zfs.check.snapshot(dataset .. "@" .. name)
      if e ~= 0 then fail(dataset, e) end
      changed[#changed + 1] = dataset
    end
  end
end
if failed_any then return failed end

for n, dataset in ipairs(changed) do
  local full = dataset .. "@" .. name
  local e = zfs.sync.snapshot(full)
  if e ~= 0 then
    -- The pool filled up between check and act (each check counts as space used): take back what
    -- this program made in this same txg, so that it is all or nothing.
    for m = 1, n - 1 do zfs.sync.destroy(changed[m] .. "@" .. name) end
    fail(dataset, e)
    return failed
  end
  local guid = zfs.get_prop(full, "guid")
  local txg = zfs.get_prop(full, "createtxg")
  local creation = zfs.get_prop(full, "creation")
  out[dataset] = string.format("taken %u %u %u", guid, txg, creation)
end
return out
