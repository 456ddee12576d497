# One image for every process: `docker run IMAGE gateway`, `worker --pool images`, `reconciler`…
# k8s/image/build (or `make image`) builds it with whatever engine is there; docs/image.md tells
# the arguments, the secrets for a proxy or a private index, and what was left out of libraries.
#
# Any Debian with Python 3.11 or later and its venv module; by digest: BASE=name@sha256:…
ARG BASE=python:3.13-slim-trixie


# What builds, and stays behind: pip, and an environment without pip for it to fill.
FROM ${BASE} AS tools
ENV SOURCE_DATE_EPOCH=315532800
# Debian's python3 runs without a reaper of its own, and so do the official Python images: taken
# from Debian where the base has none. Not pinned: of each release Debian keeps only the newest.
# hadolint ignore=DL3008
RUN umask 022 \
    && python3 -m venv /tools \
    && python3 -m venv --without-pip /opt/marea \
    && if ! command -v tini; then \
        apt-get update && apt-get install --yes --no-install-recommends tini \
        && rm -rf /var/lib/apt/lists/*; \
    fi \
    && cp "$(command -v tini)" /opt/marea/bin/tini
COPY --chmod=0755 k8s/image/pip-install /usr/local/bin/pip-install


# Libraries change seldom: they come before the code, in a layer of their own. Compiled files hold
# a hash instead of a time, so that the same sources give the same bytes, and it is not checked,
# since nothing can write the sources later.
FROM tools AS libraries
ARG EXTRAS=tables
COPY k8s/image/requirements*.lock k8s/image/trim.py /build/
RUN --mount=type=secret,id=ca --mount=type=secret,id=pip \
    --mount=type=cache,target=/var/cache/pip \
    umask 022 \
    && lock="/build/requirements${EXTRAS:+-$EXTRAS}.lock" \
    && if ! [ -f "$lock" ]; then \
        echo "EXTRAS=$EXTRAS: there is no such extra; use tables, load, or EXTRAS= for none" >&2; \
        exit 1; \
    fi \
    && pip-install --python /opt/marea/bin/python --require-hashes -r "$lock" \
    && site=$(/opt/marea/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') \
    && python3 /build/trim.py "$site" \
    # The libraries' commands, and what only an activated environment needs.
    && find /opt/marea/bin -type f ! -name tini -delete \
    && rm -rf /opt/marea/include /opt/marea/.gitignore \
    && /opt/marea/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash "$site"


FROM libraries AS package
COPY k8s/image/build.lock /build/
RUN --mount=type=secret,id=ca --mount=type=secret,id=pip \
    --mount=type=cache,target=/var/cache/pip \
    pip-install --require-hashes -r /build/build.lock
COPY pyproject.toml README.md LICENSE /source/
COPY service /source/service
# Installed below /package, so that the last stage copies this and nothing of the libraries.
RUN umask 022 \
    && /tools/bin/pip wheel --quiet --no-build-isolation --no-deps --no-index \
        --wheel-dir /wheels /source \
    && pip-install --python /opt/marea/bin/python --no-deps --no-index --root /package \
        /wheels/*.whl \
    && rm /package/opt/marea/lib/python*/site-packages/marea-*.dist-info/direct_url.json \
    && /opt/marea/bin/python -m compileall -q --invalidation-mode unchecked-hash \
        -s /package /package/opt/marea/lib
# What `python -m loadtest` is, where that is asked for. Last, so that every other image is built
# from what it was before.
ARG EXTRAS=tables
COPY loadtest /source/loadtest
RUN umask 022 \
    && if [ "$EXTRAS" = load ]; then \
        site=$(echo /package/opt/marea/lib/python*/site-packages) \
        && cp -R /source/loadtest "$site/loadtest" \
        && /opt/marea/bin/python -m compileall -q --invalidation-mode unchecked-hash \
            -s /package "$site/loadtest"; \
    fi


# The list of what is in the image: `--target sbom --output type=local,dest=FOLDER`.
FROM package AS sbom-writer
COPY k8s/image/sbom.lock /build/
RUN --mount=type=secret,id=ca --mount=type=secret,id=pip \
    --mount=type=cache,target=/var/cache/pip \
    pip-install --require-hashes -r /build/sbom.lock
# Of the whole, the version is known to the package alone.
RUN cp -a /package/. / \
    && version=$(/opt/marea/bin/python -c 'import marea; print(marea.__version__)') \
    && sed -i "s/^dynamic = .*/version = \"$version\"/" /source/pyproject.toml \
    && /tools/bin/python -m cyclonedx_py environment --output-reproducible \
        --pyproject /source/pyproject.toml --mc-type application \
        --output-format JSON --output-file /marea.cdx.json /opt/marea/bin/python

FROM scratch AS sbom
COPY --from=sbom-writer /marea.cdx.json /


FROM ${BASE} AS marea
# Out of the base: pip (nothing is installed into a running image) and set-uid bits (the user is
# and stays an ordinary one). Into it: the user's name, and the compiled standard library where
# the base has none, since no process could write it.
RUN umask 022 \
    && echo 'marea:x:10001:10001:Marea:/tmp:/usr/sbin/nologin' >> /etc/passwd \
    && echo 'marea:x:10001:' >> /etc/group \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
    && rm -rf /usr/local/bin/pip* /usr/local/lib/python3*/site-packages/pip* \
        /usr/share/python-wheels /usr/lib/python3*/ensurepip /usr/local/lib/python3*/ensurepip \
    && stdlib=$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))') \
    && python3 -m compileall -q -j 0 \
        -x '/(test|tests|idlelib|tkinter|turtledemo|lib2to3|site-packages|dist-packages)/' \
        "$stdlib"
COPY --from=libraries /opt/marea /opt/marea
COPY --from=package /package/opt/marea /opt/marea
ENV PATH=/opt/marea/bin:$PATH \
    HOME=/tmp \
    LANG=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    # glibc gives each thread an arena of up to 64 MiB; two do where Python's lock lets one run.
    MALLOC_ARENA_MAX=2
EXPOSE 8080
USER 10001:10001
ENTRYPOINT ["tini", "--", "marea"]
CMD ["--help"]
# Last, since they differ with every build.
ARG BASE
ARG VERSION=0.1.0
ARG REVISION=
ARG SOURCE=
LABEL org.opencontainers.image.title="Marea" \
      org.opencontainers.image.description="Drop a file in a bucket; its results appear in a bucket." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.base.name="${BASE}"
