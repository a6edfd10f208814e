-- SPDX-License-Identifier: Apache-2.0
-- How old is the last good set of each host that has had none for 26 hours? The oldest first, those that never had one before
-- all. A crash-consistent snapshot does not count: what it was taken instead of did not move LastGoodAt. Nor does a time that
-- is yet to come: the clock was wrong.
SELECT accountid, region, resourceid, lastgoodat,
  current_timestamp - try(from_iso8601_timestamp(lastgoodat)) AS age, lastoutcome
FROM dlm_freeze
WHERE coalesce(try(from_iso8601_timestamp(lastgoodat)) < current_timestamp - interval '26' hour, true)
   OR try(from_iso8601_timestamp(lastgoodat)) > current_timestamp + interval '1' hour
ORDER BY try(from_iso8601_timestamp(lastgoodat)) NULLS FIRST, accountid, region, resourceid
