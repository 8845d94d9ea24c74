-- What the pool's root dataset uses and may still use, in bytes. argv: pool.
args = ...
local pool = args["argv"][1]
local used = zfs.get_prop(pool, "used")
local available = zfs.get_prop(pool, "available")
return { [pool] = string.format("space %u %u", used, available) }
