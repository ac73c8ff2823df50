#!/usr/bin/env bash
# What rows cost in PostgreSQL: sizes of tables and indexes, and how long a page of a list takes, with N files
# in 100 organizations. Makes a server of its own below TMPDIR and removes it; 10,000,000 files take about
# 10 GB there. As root it runs the server as `postgres`.
#
# benches/rows.sh [N]      default 10000000; prints a report
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
files=${1:-10000000}
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1)
place=$(mktemp -d)
as=()
if [ "$(id -u)" = 0 ]; then
    as=(setpriv --reuid=postgres --regid=postgres --clear-groups)
    chown postgres "$place"
fi
end() {
    "${as[@]}" "$bin/pg_ctl" -D "$place/data" -m immediate stop >/dev/null 2>&1 || true
    rm -rf "$place"
}
trap end EXIT
"${as[@]}" "$bin/initdb" -D "$place/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 >/dev/null
"${as[@]}" "$bin/pg_ctl" -D "$place/data" -w -l "$place/log" start \
    -o "-k $place -c listen_addresses= -c fsync=off -c max_wal_size=16GB -c shared_buffers=256MB -c maintenance_work_mem=256MB" >/dev/null
sql() { "$bin/psql" -X -q -v ON_ERROR_STOP=1 -h "$place" -U postgres "$@"; }

"$bin/psql" --version
printf '%s files, %s\n\n' "$files" "$(date -u +%FT%TZ)"
for step in src/catalog/schema/postgres/*.sql; do sql -f "$step"; done
begun=$SECONDS
# What uploads write: ids of UUIDs version 7, in the order of time; drawn blob keys.
sql -c "INSERT INTO organization (id, name, epoch, created_at) SELECT 'org_' || n, '', 0, 0 FROM generate_series(0, 99) n" \
    -c "INSERT INTO space SELECT id, 'space_default', '', 0 FROM organization" \
    -c "INSERT INTO file (organization, id, space, name, media_type, size, sha256, purpose, state, metadata, created_at,
            updated_at, uploaded_by, link_revision, blob)
        SELECT 'org_' || n % 100, 'file_' || lpad(to_hex(1700000000000 + n * 10), 12, '0') || left(md5(n::text), 20),
            'space_default', 'report-' || n || '.pdf', 'application/pdf', n, sha256(n::text::bytea),
            CASE n % 10 WHEN 0 THEN 'tool_output' ELSE 'user_upload' END, 'ready', '{}', 1700000000 + n / 100,
            1700000000 + n / 100, 'key_' || md5((n % 100)::text), 0, md5('blob' || n)
        FROM generate_series(1, $files) n" \
    -c "UPDATE organization SET ready_files = $files / 100"
printf 'inserted, with every index, in %d s\n' "$((SECONDS - begun))"
sql -c 'VACUUM ANALYZE'
sql -c "SELECT relname, pg_size_pretty(pg_relation_size(oid)) AS size, round(pg_relation_size(oid)::numeric / $files, 1) AS bytes_a_file
        FROM pg_class WHERE relname LIKE 'file%' AND relkind IN ('r', 'i') ORDER BY pg_relation_size(oid) DESC" \
    -c "SELECT pg_size_pretty(pg_total_relation_size('file')) AS total,
        round(pg_total_relation_size('file')::numeric / $files, 1) AS bytes_a_file"
page() {
    printf '\n%s\n' "$1"
    for _ in 1 2 3; do
        sql -A -t -c "EXPLAIN (ANALYZE, TIMING OFF, SUMMARY ON) SELECT * FROM file WHERE $2" | grep 'Execution Time'
    done
}
of="organization = 'org_7' AND state = 'ready'"
middle="(created_at, id) < (1700000000 + $files / 200, '')"
page 'the newest page of 20' "$of ORDER BY created_at DESC, id DESC LIMIT 20"
page 'a page in the middle, by its place' "$of AND $middle ORDER BY created_at DESC, id DESC LIMIT 20"
page 'the newest page of one purpose' "$of AND purpose = 'tool_output' ORDER BY created_at DESC, id DESC LIMIT 20"
page 'a page in the middle, by its number' "$of ORDER BY created_at DESC, id DESC LIMIT 20 OFFSET $((files / 200))"
page 'one file' "organization = 'org_7' AND id = (SELECT id FROM file WHERE organization = 'org_7' LIMIT 1)"
