# The collector and the command line, as a user without privileges. Its context is the checkout.
# Not built where this was written, as no base image could be pulled there; its steps are those of
# deploy/bootstrap.sh, which are.
FROM docker.io/library/python:3.11-slim

RUN useradd --uid 10001 --create-home tonnage
WORKDIR /usr/src/tonnage
COPY pyproject.toml README.md ./
COPY agent agent
COPY collector collector
COPY experiments experiments
COPY protos protos
COPY deploy/requirements.lock deploy/requirements.lock
RUN pip install --no-cache-dir --require-hashes -r deploy/requirements.lock \
    && pip install --no-cache-dir --no-deps --no-build-isolation . \
    && rm -rf /usr/src/tonnage/*
COPY deploy/compose/serve.sh /usr/local/bin/serve

USER tonnage
EXPOSE 7070 7071
ENTRYPOINT ["serve"]
