"""What the dashboard Run asks of PostgreSQL.

Everything is found by index: runs by when they began, hosts by run, trials and facts by host run.
No statement returns more than a panel can draw. ``$run``, ``$other``, ``$host`` and ``$target``
are the dashboard's variables; Grafana quotes those with several values itself.
"""

from __future__ import annotations

# As `tonnage report` does it: three samples must lie beyond a quantile.
_P50_FROM, _P95_FROM = 6, 60
# A step of the thinning leaves at most so many; each series keeps its ends besides.
_POINTS = 1900

_LABEL = (
    "r.name || ' · ' || to_char(to_timestamp(r.started_at_unix_ns / 1e9) AT TIME ZONE 'UTC',"
    " 'YYYY-MM-DD HH24:MI') || ' · ' || left(r.run_id, 8)"
)
# A planner that takes a few runs for many would read the whole table; OFFSET 0 has it go by
# the index, one host run after another, and is what PostgreSQL has in place of a hint.
_TRIALS = """host_run h
CROSS JOIN LATERAL (SELECT * FROM trial WHERE trial.host_run_id = h.id OFFSET 0) t"""
_FACTS = """host_run h
CROSS JOIN LATERAL (SELECT * FROM fact WHERE fact.host_run_id = h.id OFFSET 0) f"""
_CHOSEN = """h.host IN ($host) AND t.target_id IN ($target) AND t.population = 'measured'"""

RUNS = f"""
SELECT r.run_id AS __value, {_LABEL} AS __text
FROM run r
ORDER BY r.started_at_unix_ns DESC
LIMIT 500
"""

# The run before this one of the same name comes first, so that it is what is compared at first.
OTHERS = f"""
SELECT found.run_id AS __value, found.label AS __text
FROM (
  SELECT r.run_id, {_LABEL} AS label, r.name = this.name AS alike,
    r.started_at_unix_ns < this.started_at_unix_ns AS before, r.started_at_unix_ns AS at
  FROM run r, (SELECT name, started_at_unix_ns FROM run WHERE run_id = '$run') this
  WHERE r.run_id <> '$run'
  UNION ALL
  SELECT 'none', 'none', false, false, 0
) found
ORDER BY found.alike DESC, found.before DESC, found.at DESC
LIMIT 500
"""

HOSTS = "SELECT host FROM host_run WHERE run_id = '$run' ORDER BY host"

# Hosts that are alike have the same plan: each is read once.
TARGETS = """
SELECT DISTINCT target ->> 'id' AS target
FROM (SELECT DISTINCT plan_json FROM host_run WHERE run_id = '$run') plan,
  jsonb_array_elements(plan.plan_json::jsonb -> 'targets') target
ORDER BY 1
"""

RUNS_IN_TIME = """
SELECT r.run_id AS run, r.name, r.state, to_timestamp(r.started_at_unix_ns / 1e9) AS started,
  (r.finished_at_unix_ns - r.started_at_unix_ns) / 1e9 AS took, h.hosts, h.trials,
  (r.started_at_unix_ns / 1000000 - 60000)::text AS from_ms,
  (COALESCE(r.finished_at_unix_ns, $__unixEpochNanoTo()) / 1000000 + 60000)::text AS to_ms
FROM run r
CROSS JOIN LATERAL (
  SELECT count(*) AS hosts, sum(trials)::bigint AS trials FROM host_run WHERE run_id = r.run_id
) h
WHERE $__unixEpochNanoFilter(r.started_at_unix_ns)
ORDER BY r.started_at_unix_ns DESC
LIMIT 100
"""

THIS_RUN = """
SELECT r.name, r.state, to_timestamp(r.started_at_unix_ns / 1e9) AS started,
  (r.finished_at_unix_ns - r.started_at_unix_ns) / 1e9 AS took,
  (SELECT sum(trials)::bigint FROM host_run WHERE run_id = r.run_id) AS trials,
  r.start_skew_seconds AS skew,
  CASE WHEN r.raw_removed_at_unix_ns IS NULL THEN 'kept' ELSE 'removed' END AS raw,
  COALESCE(r.problem_json::jsonb ->> 'message', '') AS problem, r.run_id AS run
FROM run r
WHERE r.run_id = '$run'
"""

ITS_HOSTS = """
SELECT h.host, h.state, h.trials, h.high_water AS events,
  COALESCE(h.problem_json::jsonb ->> 'message', '') AS problem
FROM host_run h
WHERE h.run_id = '$run' AND h.host IN ($host)
ORDER BY h.host
"""

OUTCOMES = f"""
SELECT h.host, t.target_id AS target, t.concurrency, count(*) AS attempts,
  count(*) FILTER (WHERE t.outcome = 'ready') AS ready,
  count(*) FILTER (WHERE t.outcome = 'failed') AS failed,
  count(*) FILTER (WHERE t.outcome = 'timed_out') AS "timed out",
  count(*) FILTER (WHERE t.outcome IN ('cancelled', 'interrupted')) AS "cut short",
  count(*) FILTER (WHERE t.noisy) AS noisy,
  CASE WHEN count(*) FILTER (WHERE t.outcome = 'ready') >= {_P50_FROM} THEN
    percentile_cont(0.5) WITHIN GROUP (ORDER BY t.ready_ns)
      FILTER (WHERE t.outcome = 'ready') / 1e9 END AS p50,
  CASE WHEN count(*) FILTER (WHERE t.outcome = 'ready') >= {_P95_FROM} THEN
    percentile_cont(0.95) WITHIN GROUP (ORDER BY t.ready_ns)
      FILTER (WHERE t.outcome = 'ready') / 1e9 END AS p95,
  max(t.ready_ns) FILTER (WHERE t.outcome = 'ready') / 1e9 AS max
FROM {_TRIALS}
WHERE h.run_id = '$run' AND {_CHOSEN}
GROUP BY h.host, t.target_id, t.concurrency
ORDER BY t.target_id, t.concurrency, h.host
LIMIT 1000
"""

# Attempts that failed sort last and are counted: a curve ends at the share that became ready.
ECDF = f"""
WITH attempt AS (
  SELECT t.target_id || ' ×' || t.concurrency
      || CASE WHEN h.run_id = '$run' THEN '' ELSE ' · other run' END AS series,
    t.ready_ns, t.outcome
  FROM {_TRIALS}
  WHERE h.run_id IN ('$run', '$other') AND {_CHOSEN}
    AND t.outcome IN ('ready', 'failed', 'timed_out')
), ranked AS (
  SELECT series, outcome, ready_ns, cume_dist() OVER curve AS share,
    row_number() OVER curve AS place, count(*) OVER () AS everything
  FROM attempt
  WINDOW curve AS (
    PARTITION BY series ORDER BY CASE WHEN outcome = 'ready' THEN ready_ns END NULLS LAST
  )
)
SELECT ready_ns / 1e9 AS seconds, share, series
FROM ranked
WHERE outcome = 'ready' AND (place = 1 OR place % (1 + everything / {_POINTS}) = 0)
ORDER BY series, seconds, share
"""

# Thinned, but for the slowest, which are what is looked for.
TRIALS = f"""
WITH attempt AS (
  SELECT t.requested_at_unix_ns AS at, t.ready_ns, h.host || ' · ' || t.target_id AS metric,
    row_number() OVER (ORDER BY t.ready_ns DESC) AS slow,
    row_number() OVER (ORDER BY t.host_run_id, t.sequence) AS place,
    count(*) OVER () AS everything
  FROM {_TRIALS}
  WHERE h.run_id = '$run' AND {_CHOSEN} AND t.outcome = 'ready'
    AND $__unixEpochNanoFilter(t.requested_at_unix_ns)
)
SELECT to_timestamp(at / 1e9) AS "time", metric, ready_ns / 1e9 AS value
FROM attempt
WHERE slow <= 100 OR place % (1 + everything / {_POINTS}) = 0
ORDER BY at
"""

PHASES = f"""
SELECT t.target_id || ' ×' || t.concurrency AS subject,
  percentile_cont(0.5) WITHIN GROUP (ORDER BY t.accepted_ns) / 1e9 AS accept,
  percentile_cont(0.5) WITHIN GROUP (ORDER BY t.created_ns - t.accepted_ns) / 1e9 AS "create",
  percentile_cont(0.5) WITHIN GROUP (ORDER BY t.kernel_ns - t.created_ns) / 1e9 AS machine,
  percentile_cont(0.5) WITHIN GROUP (ORDER BY t.init_ns - t.kernel_ns) / 1e9 AS kernel,
  percentile_cont(0.5) WITHIN GROUP (ORDER BY t.unit_ns - t.init_ns) / 1e9 AS init,
  percentile_cont(0.5) WITHIN GROUP (ORDER BY t.restored_ns - t.created_ns) / 1e9 AS restore,
  percentile_cont(0.5) WITHIN GROUP (
    ORDER BY t.ready_ns - COALESCE(t.restored_ns, t.unit_ns, t.init_ns, t.created_ns)
  ) / 1e9 AS userspace
FROM {_TRIALS}
WHERE h.run_id = '$run' AND {_CHOSEN} AND t.outcome = 'ready'
GROUP BY t.target_id, t.concurrency
ORDER BY 1
LIMIT 50
"""

WORST = f"""
SELECT h.host, t.trial_id AS trial, t.attempt,
  to_timestamp(t.requested_at_unix_ns / 1e9) AS requested, t.outcome, t.ready_ns / 1e9 AS took,
  CASE WHEN t.noisy THEN 'noisy' ELSE '' END AS noisy, t.error
FROM {_TRIALS}
WHERE h.run_id = '$run' AND {_CHOSEN}
ORDER BY t.outcome = 'ready', t.ready_ns DESC NULLS LAST
LIMIT 100
"""

COMPARED = f"""
WITH figure AS (
  SELECT h.run_id = '$run' AS mine, t.target_id AS target, t.concurrency, count(*) AS attempts,
    count(*) FILTER (WHERE t.outcome = 'ready') AS ready,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY t.ready_ns)
      FILTER (WHERE t.outcome = 'ready') / 1e9 AS p50,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY t.ready_ns)
      FILTER (WHERE t.outcome = 'ready') / 1e9 AS p95
  FROM {_TRIALS}
  WHERE h.run_id IN ('$run', '$other') AND {_CHOSEN}
  GROUP BY 1, 2, 3
), enough AS (
  SELECT mine, target, concurrency, attempts, ready,
    CASE WHEN ready >= {_P50_FROM} THEN p50 END AS p50,
    CASE WHEN ready >= {_P95_FROM} THEN p95 END AS p95
  FROM figure
)
SELECT this.target, this.concurrency, this.attempts,
  other.attempts AS "attempts, other",
  this.attempts - this.ready AS "not ready", other.attempts - other.ready AS "not ready, other",
  this.p50, other.p50 AS "p50, other", this.p50 / NULLIF(other.p50, 0) AS "p50 ratio",
  this.p95, other.p95 AS "p95, other", this.p95 / NULLIF(other.p95, 0) AS "p95 ratio"
FROM enough this
LEFT JOIN enough other
  ON other.target = this.target AND other.concurrency = this.concurrency AND NOT other.mine
WHERE this.mine
ORDER BY this.target, this.concurrency
LIMIT 200
"""

_OF_RESULT = """run_result k
JOIN run r ON r.run_id = k.run_id AND r.finished_at_unix_ns = k.finished_at_unix_ns"""

VERDICTS = f"""
SELECT c #>> '{{candidate,host}}' AS host, c ->> 'metric' AS metric,
  (c #>> '{{baseline,runtime}}') || ' ' || (c #>> '{{baseline,accelerator}}') AS baseline,
  (c #>> '{{candidate,runtime}}') || ' ' || (c #>> '{{candidate,accelerator}}') AS candidate,
  (c ->> 'concurrency')::int AS concurrency, (c ->> 'ratio')::float8 AS ratio,
  (c #>> '{{ci,0}}')::float8 AS "from", (c #>> '{{ci,1}}')::float8 AS "to",
  c ->> 'verdict' AS verdict, c ->> 'reason' AS reason
FROM {_OF_RESULT}
CROSS JOIN LATERAL jsonb_array_elements(k.result_json::jsonb -> 'comparisons') c
WHERE k.run_id = '$run' AND c #>> '{{candidate,host}}' IN ($host)
ORDER BY 1, 2
LIMIT 500
"""


def _by_step(value: str) -> str:
    """What was read at each step of each ramp, by how many instances there were."""
    return f"""
SELECT (f.body_json::jsonb #>> '{{sample,instances}}')::float8 AS instances, {value},
  h.host || ' · ' || (f.body_json::jsonb ->> 'stage_id') AS series
FROM {_FACTS}
WHERE h.run_id = '$run' AND h.host IN ($host) AND f.kind = 'step'
ORDER BY 3, 1
LIMIT 2000
"""


STEPS_LATENCY = _by_step("(f.body_json::jsonb ->> 'probe_p50_seconds')::float8 AS p50")
STEPS_MEMORY = _by_step(
    "(f.body_json::jsonb #>> '{sample,mem_available_bytes}')::float8 AS available"
)

RAMPS = f"""
SELECT d ->> 'host' AS host, d ->> 'runtime' AS runtime, d ->> 'accelerator' AS accelerator,
  d ->> 'workload' AS workload, (d ->> 'memory_bytes')::bigint AS memory,
  (d ->> 'instances')::float8 AS "limit", (d ->> 'forecast_instances')::float8 AS forecast,
  (d ->> 'forecast_error')::float8 AS error, d ->> 'stop_reason' AS reason,
  d ->> 'binding_constraint' AS "constraint"
FROM {_OF_RESULT}
CROSS JOIN LATERAL jsonb_array_elements(k.result_json::jsonb -> 'density') d
WHERE k.run_id = '$run' AND d ->> 'host' IN ($host)
ORDER BY 1, 2
LIMIT 500
"""

RUN_MARKS = """
SELECT to_timestamp(r.started_at_unix_ns / 1e9) AS "time",
  to_timestamp(COALESCE(r.finished_at_unix_ns, $__unixEpochNanoTo()) / 1e9) AS timeend,
  r.name || ' (' || r.state || ')' AS text, 'run' AS tags
FROM run r
WHERE $__unixEpochNanoFilter(r.started_at_unix_ns)
ORDER BY r.started_at_unix_ns DESC
LIMIT 100
"""

FACT_MARKS = f"""
SELECT to_timestamp(f.recorded_at_unix_ns / 1e9) AS "time",
  h.host || ': ' || replace(f.kind, '_', ' ')
    || COALESCE(' ' || (f.body_json::jsonb ->> 'stage_id'), '')
    || COALESCE(': ' || (f.body_json::jsonb ->> 'message'), '') AS text, h.host AS tags
FROM {_FACTS}
WHERE h.run_id = '$run' AND h.host IN ($host)
  AND f.kind IN ('stage_started', 'run_released', 'run_resumed', 'notice')
  AND $__unixEpochNanoFilter(f.recorded_at_unix_ns)
ORDER BY f.recorded_at_unix_ns
LIMIT 300
"""
