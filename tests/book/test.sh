#!/bin/sh
# test.sh: builds the book and tries it in Chromium. Prints lines "ok ..." and
# "not ok ..."; or one "not tried: ..." where a browser, or what drives it, is
# not there.
set -u
npm=build/npm

not_tried() {
    echo "not tried: the book: $1; make book-test gets what it needs"
    exit 0
}

for tool in pandoc chromium node npm; do
    command -v $tool > /dev/null 2>&1 || not_tried "there is no $tool"
done
${MAKE:-make} -s book > build/proof/book.log 2>&1 || {
    echo "not ok the book: it cannot be built, see build/proof/book.log"
    exit 0
}
# The versions stand in package.json; npm is asked only when they change.
cmp -s tests/book/package.json $npm/package.json || {
    mkdir -p $npm && cp tests/book/package.json $npm/wanted.json &&
        npm install --prefix $npm --no-package-lock --no-audit --no-fund \
            --no-save --ignore-scripts $(node -p "
                Object.entries(require('./$npm/wanted.json').dependencies)
                    .map((d) => d.join('@')).join(' ')") > $npm/log 2>&1 ||
        not_tried "npm cannot get playwright-core and axe-core (see $npm/log)"
    mv $npm/wanted.json $npm/package.json
}
CHROMIUM=$(command -v chromium) NODE_PATH=$npm/node_modules \
    timeout -k 5 300 node tests/book/test.js build/book ||
    echo 'not ok the book: the browser did not get through in 300 seconds'
