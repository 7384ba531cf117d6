# hanhua's server with the chat page, for CPU or CUDA. How to use it: docs/guides/docker.md
# Pin an image harder with --build-arg RUN_IMAGE=python:…@sha256:…
ARG BUILD_IMAGE=python:3.11.14-bookworm
ARG RUN_IMAGE=python:3.11.14-slim-bookworm

FROM ${BUILD_IMAGE} AS build
# cpu or cuda: whether the build fails when torch cannot use a GPU, and whether 4 bits come along
ARG DEVICE=cpu
ARG TORCH_VERSION=2.13.0
# Where torch comes from; empty: pip's usual index, whose torch for Linux on x86-64 is the CUDA one.
# For a small CPU image: the address that PyTorch's install page names for Linux, pip, CPU.
ARG TORCH_INDEX=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/hanhua
ENV PATH=/opt/hanhua/bin:$PATH
# torch alone first: the large layer stays as it is while hanhua changes
RUN --mount=type=cache,target=/root/.cache/pip \
    if [ -n "$TORCH_INDEX" ]; then export PIP_INDEX_URL="$TORCH_INDEX"; fi \
    && pip install "torch==${TORCH_VERSION}" \
    && python -c "import sys, torch; cuda = torch.version.cuda; sys.exit('torch is a CPU build') if '$DEVICE' == 'cuda' and not cuda else print('NOTE: this is the CUDA build of torch, gigabytes that a CPU image has no use for; set TORCH_INDEX (docs/guides/docker.md)' if '$DEVICE' == 'cpu' and cuda else '')"
WORKDIR /build
COPY pyproject.toml setup.py MANIFEST.in README.md LICENSE ./
COPY src ./src
RUN --mount=type=cache,target=/root/.cache/pip \
    case "$DEVICE" in cpu) extras=serve ;; cuda) extras=serve,gpu ;; \
    *) echo "DEVICE is cpu or cuda" >&2; exit 1 ;; esac \
    && pip install "hanhua[$extras] @ file:///build" \
    && hanhua --version

FROM ${RUN_IMAGE}
RUN groupadd --gid 10001 hanhua \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp \
       --shell /usr/sbin/nologin hanhua
COPY --from=build /opt/hanhua /opt/hanhua
# Nothing is written beside /tmp, nothing is fetched: the root may be read-only, the net may be off.
ENV PATH=/opt/hanhua/bin:$PATH \
    HOME=/tmp \
    HF_HOME=/tmp/huggingface \
    HF_HUB_OFFLINE=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /tmp
USER 10001:10001
EXPOSE 8000
# http.client and not urllib: a proxy of the environment must not be asked about ourselves
HEALTHCHECK --interval=15s --timeout=5s --start-period=300s --retries=3 \
    CMD ["python", "-I", "-c", "import http.client as h, sys; c = h.HTTPConnection('127.0.0.1', 8000, timeout=4); c.request('GET', '/health'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["hanhua"]
# The weights are mounted at /model: a run, an artifact or a Hugging Face folder.
CMD ["serve", "/model", "--host", "0.0.0.0", "--port", "8000"]
