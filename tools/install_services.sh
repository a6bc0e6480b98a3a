#!/usr/bin/env bash
# Install the servers that tests run against, where they are missing and this machine lets us. Tests say why they skip.
set -euo pipefail

shopt -s nullglob
installed=(/usr/lib/postgresql/*/bin/initdb)
if [ "${#installed[@]}" -gt 0 ] || command -v initdb >/dev/null; then
  exit 0
fi

root=()
if [ "$(id -u)" -ne 0 ]; then
  root=(sudo -n)
fi
if ! command -v apt-get >/dev/null || ! "${root[@]}" true 2>/dev/null; then
  echo 'PostgreSQL is not installed, and cannot be from here: tests that need it are skipped' >&2
  exit 0
fi

echo 'installing PostgreSQL for the tests'
install() { "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1" >/dev/null; }
"${root[@]}" apt-get update -qq
# The package would create a server and start it; the tests start servers of their own.
no_cluster=/etc/postgresql-common/createcluster.d/tidegate.conf
install postgresql-common
"${root[@]}" mkdir -p "$(dirname "$no_cluster")"
echo 'create_main_cluster = false' | "${root[@]}" tee "$no_cluster" >/dev/null
trap '"${root[@]}" rm -f "$no_cluster"' EXIT
install postgresql
