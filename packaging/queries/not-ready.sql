-- SPDX-License-Identifier: Apache-2.0
-- Which hosts would fail now, and why? One whose answer is old or of the future is not known: stale.sql.
SELECT accountid, region, resourceid, exitcode, reason, probedat
FROM dlm_freeze
WHERE coalesce(ready, '') <> 'yes'
  AND try(from_iso8601_timestamp(probedat)) >= current_timestamp - interval '26' hour
  AND try(from_iso8601_timestamp(probedat)) <= current_timestamp + interval '1' hour
ORDER BY accountid, region, resourceid
