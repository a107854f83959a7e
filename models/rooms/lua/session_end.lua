-- How a session ends; stands before scripts that end one.
-- Returns nothing: it is no script of its own, and others begin with it.

-- Free the slot of a session that lives; its record stays until nobody can hold a token of it.
local function end_session(lane, number, session_id, reason, at_ms)
  redis.call('ZREM', prefix .. 'sessions', session_name(lane, number, session_id))
  redis.call('HDEL', prefix .. 'session_ids', session_id)
  redis.call('HSET', session_key(lane, number), 'over', reason, 'over_at_ms', int(at_ms))
  add('inside', -1)
  add('ended', 1)
end
