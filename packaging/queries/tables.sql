-- SPDX-License-Identifier: Apache-2.0
-- The tables over what resource data syncs bring into one bucket (Athena). Replace BUCKET and, if the syncs have one, put their
-- prefix after it. Then, and whenever an account or Region is new: MSCK REPAIR TABLE dlm_freeze; the same for the others.
CREATE EXTERNAL TABLE dlm_freeze (
  resourceid string, capturetime string, ready string, exitcode string, reason string, consistent string, probedat string,
  version string, confighash string, volumescovered string, volumesnotcovered string, `databases` string, dirtybytes string,
  freezeseconds string, timeoutseconds string, autothawseconds string, lastoutcome string, lastexecutionid string,
  lastendedat string, lastproblems string, lastgoodat string
)
PARTITIONED BY (accountid string, region string, resourcetype string)
ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
LOCATION 's3://BUCKET/Custom:DlmFreeze/';

CREATE EXTERNAL TABLE instance_tags (resourceid string, capturetime string, key string, value string)
PARTITIONED BY (accountid string, region string, resourcetype string)
ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
LOCATION 's3://BUCKET/AWS:Tag/';

CREATE EXTERNAL TABLE instance_information (resourceid string, capturetime string, computername string, instancestatus string)
PARTITIONED BY (accountid string, region string, resourcetype string)
ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
LOCATION 's3://BUCKET/AWS:InstanceInformation/';
