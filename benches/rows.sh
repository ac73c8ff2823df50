#!/usr/bin/env bash
# What rows cost in PostgreSQL: sizes of tables and indexes, how long a page of a list takes, and how many files
# are found, added and deleted a second, with N files in 100 organizations. Makes a server of its own below
# TMPDIR and removes it; 10,000,000 files take about 11 GB there, and as much again of its log while they are
# inserted. As root it runs the server as `postgres`.
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

# What the adapter sends for one file, by 8 clients for 15 s; changes with every sync that a server usually does.
sql -c 'ALTER SYSTEM SET fsync = on' -c 'SELECT pg_reload_conf()' >/dev/null
sql -c CHECKPOINT
mark="INSERT INTO change_mark (slot, number, at) VALUES ('slot' || :client_id, 1, 0)
    ON CONFLICT (slot) DO UPDATE SET number = change_mark.number + 1;"
rate() {
    printf '%s\n' "$2" >"$place/script"
    printf '%-48s' "$1"
    "$bin/pgbench" -n -h "$place" -U postgres -M prepared -c 8 -j 2 -T 15 -f "$place/script" postgres 2>&1 |
        awk '/^latency average/ { late = $4 } /^tps/ { printf "%8.0f a second, %6.2f ms each\n", $3, late }'
}
add() {
    printf '%s\n' "BEGIN; $mark
        UPDATE organization SET ready_files = ready_files + 1, kept_files = kept_files + 1, kept_bytes = kept_bytes + 1
            WHERE id = 'org_' || $1 RETURNING kept_files;
        INSERT INTO file (organization, id, space, name, media_type, size, sha256, purpose, state, metadata, created_at,
            updated_at, uploaded_by, link_revision, blob)
            VALUES ('org_' || $1, 'new_' || gen_random_uuid(), 'space_default', 'report.pdf', 'application/pdf', 1,
            sha256('a'), 'user_upload', 'ready', '{}', 1800000000, 1800000000, 'key', 0, gen_random_uuid()::text);
        COMMIT;"
}
printf '\n'
rate 'one file by its id' "\\set n random(1, $files)
    SELECT * FROM file WHERE organization = 'org_' || :n::bigint % 100
        AND id = 'file_' || lpad(to_hex(1700000000000 + :n::bigint * 10), 12, '0') || left(md5(:n::bigint::text), 20);"
rate 'adding a file, each client to its organization' "$(add :client_id)"
rate 'adding a file, all to one organization' "$(add 99)"
rate 'deleting a file, each client of its organization' "\\set n random(0, 65535)
    BEGIN; $mark
    UPDATE organization SET ready_files = ready_files - 1 WHERE id = 'org_' || :client_id;
    UPDATE file SET state = 'deleted', deleted_at = 1800000000 WHERE organization = 'org_' || :client_id AND id = (
        SELECT id FROM file WHERE organization = 'org_' || :client_id AND state = 'ready'
            AND id > 'new_' || lpad(to_hex(:n::bigint), 4, '0') ORDER BY id LIMIT 1);
    WITH head AS (UPDATE change_head SET version = version + 1 RETURNING version),
        added AS (INSERT INTO change (version, stamp, kind, organization, item)
            SELECT version, ('x' || replace(gen_random_uuid()::text, '-', ''))::bit(64)::bigint, 'file',
                'org_' || :client_id, 'file' FROM head)
        SELECT pg_notify('hallpass', '');
    COMMIT;"
