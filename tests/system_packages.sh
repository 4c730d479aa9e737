#!/bin/sh
# System packages that tests need: Chromium for the browser tests, bubblewrap for the grader's. Installs what is
# missing where this runs as root on Debian or Ubuntu; elsewhere prints the one line to run, and those tests are
# skipped with a message.
missing=""
command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 || missing="$missing chromium"
command -v bwrap >/dev/null 2>&1 || missing="$missing bubblewrap"
[ -z "$missing" ] && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "installing$missing for the tests"
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing fonts-dejavu-core >/dev/null
elif command -v apt-get >/dev/null 2>&1; then
  echo "browser or grader tests will be skipped; to run them: sudo apt-get install$missing"
else
  echo "browser or grader tests will be skipped; to run them, install$missing with your package manager"
fi
