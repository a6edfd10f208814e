-- SPDX-License-Identifier: Apache-2.0
-- Of which hosts is nothing known, though there is an item? Not probed for 26 hours, or at no time that could be: the host is
-- down, its agent has stopped, the association does not reach it, or its clock is wrong.
SELECT accountid, region, resourceid, probedat, ready
FROM dlm_freeze
WHERE coalesce(try(from_iso8601_timestamp(probedat)) < current_timestamp - interval '26' hour, true)
   OR try(from_iso8601_timestamp(probedat)) > current_timestamp + interval '1' hour
ORDER BY accountid, region, resourceid
