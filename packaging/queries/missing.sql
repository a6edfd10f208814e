-- SPDX-License-Identifier: Apache-2.0
-- Which hosts are to be snapshotted by their tag, run, and have no item at all? Instances without the SSM agent are in none of
-- these tables.
SELECT tag.accountid, tag.region, tag.resourceid
FROM instance_tags tag
JOIN instance_information host
  ON host.accountid = tag.accountid AND host.region = tag.region AND host.resourceid = tag.resourceid
LEFT JOIN dlm_freeze item
  ON item.accountid = tag.accountid AND item.region = tag.region AND item.resourceid = tag.resourceid
WHERE tag.key = 'dlm-freeze'
  AND tag.value = 'true'
  AND host.instancestatus NOT IN ('Stopped', 'Terminated')
  AND item.resourceid IS NULL
ORDER BY tag.accountid, tag.region, tag.resourceid
