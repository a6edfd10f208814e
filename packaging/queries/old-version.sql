-- SPDX-License-Identifier: Apache-2.0
-- Which hosts have an older version than the newest that any host has?
WITH numbered AS (
  SELECT accountid, region, resourceid, version,
    CASE WHEN regexp_like(version, '^[0-9]+[.][0-9]+[.][0-9]+$')
      THEN CAST(split_part(version, '.', 1) AS integer) * 1000000
         + CAST(split_part(version, '.', 2) AS integer) * 1000
         + CAST(split_part(version, '.', 3) AS integer)
    END AS number
  FROM dlm_freeze
)
SELECT accountid, region, resourceid, version
FROM numbered
WHERE number IS NULL
   OR number < (SELECT max(number) FROM numbered)
ORDER BY accountid, region, resourceid
