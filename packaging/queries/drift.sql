-- SPDX-License-Identifier: Apache-2.0
-- Which hosts have another configuration than most hosts of their account and Region? Without a hash it could not be read.
WITH counted AS (
  SELECT accountid, region, confighash, count(*) AS hosts
  FROM dlm_freeze
  WHERE confighash IS NOT NULL
  GROUP BY accountid, region, confighash
), ranked AS (
  SELECT accountid, region, confighash,
    row_number() OVER (PARTITION BY accountid, region ORDER BY hosts DESC, confighash) AS place
  FROM counted
)
SELECT item.accountid, item.region, item.resourceid, item.confighash, ranked.confighash AS usual
FROM dlm_freeze item
JOIN ranked
  ON ranked.accountid = item.accountid AND ranked.region = item.region AND ranked.place = 1
WHERE coalesce(item.confighash, '') <> ranked.confighash
ORDER BY item.accountid, item.region, item.resourceid
