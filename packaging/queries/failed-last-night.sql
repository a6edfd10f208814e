-- SPDX-License-Identifier: Apache-2.0
-- Whose last session ended within 24 hours and badly, and with which exit code? A pre-script that failed before there was a
-- session (a wrong configuration, a database that is absent) is in no item: not-ready.sql and last-good.sql show its host.
SELECT
  CASE lastoutcome
    WHEN 'rolled_back' THEN '201, 204 or 206'
    WHEN 'auto_thawed' THEN '203'
    ELSE '202'
  END AS code,
  accountid, region, resourceid, lastoutcome, lastproblems, lastendedat, lastexecutionid
FROM dlm_freeze
WHERE try(from_iso8601_timestamp(lastendedat)) >= current_timestamp - interval '24' hour
  AND (lastoutcome <> 'completed' OR lastproblems <> '0')
ORDER BY code, accountid, region, resourceid
