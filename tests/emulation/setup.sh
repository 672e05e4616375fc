#!/usr/bin/env bash
# An arm64 CPython with what the suite uses under user-mode emulation, and what builds the package for it. README.md says more.
#
#     tests/emulation/setup.sh [DIR]       DIR: build/emulation unless said otherwise. Debian 12 on x86-64; root, where
#                                          packages are missing; a minute and 510 MB
# DIR/host/bin/python    the builder: setuptools, Cython and NumPy for this machine
# DIR/arm64/root         Debian's arm64 interpreter with its libraries and headers, and what the tests use, unpacked
# DIR/arm64/python       starts it; ARM_CPU chooses the processor
set -euo pipefail
dir=$(realpath -m "${1:-$(dirname "$0")/../../build/emulation}")
version=3.11 numpy='numpy==2.4.*'
root=$dir/arm64/root

tools=(qemu-aarch64-static qemu-x86_64-static aarch64-linux-gnu-gcc)
if ! command -v "${tools[@]}" >/dev/null || ! dpkg --print-foreign-architectures | grep -qx arm64; then
    dpkg --add-architecture arm64
    apt-get -q update
    DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends \
        qemu-user-static gcc-aarch64-linux-gnu libc6-dev-arm64-cross
fi

if [ -e "$dir" ] && [ ! -e "$dir/made-by-setup" ] && [ -n "$(ls -A "$dir")" ]; then
    echo "$dir: not empty, and not made by this script; name another folder" >&2
    exit 1
fi

libraries=(libc6 libgcc-s1 libstdc++6 zlib1g libexpat1 libffi8 libssl3 libbz2-1.0 liblzma5 libsqlite3-0 libuuid1 libcrypt1
    libreadline8 libtinfo6)
interpreter=("python$version-minimal" "libpython$version-minimal" "libpython$version-stdlib" "libpython$version-dev")
rm -rf "$dir/arm64"
mkdir -p "$root" "$dir/arm64/packages"
touch "$dir/made-by-setup"
(cd "$dir/arm64/packages" && apt-get -q download "${libraries[@]/%/:arm64}" "${interpreter[@]/%/:arm64}")
for package in "$dir"/arm64/packages/*.deb; do dpkg -x "$package" "$root"; done
rm -r "$dir/arm64/packages"

cat >"$dir/arm64/python" <<END
#!/bin/sh
exec qemu-aarch64-static -cpu "\${ARM_CPU:-neoverse-n1}" -L "$root" "$root/usr/bin/python$version" "\$@"
END
chmod +x "$dir/arm64/python"

"${PYTHON:-python3}" -m venv "$dir/host"
"$dir/host/bin/pip" install -q --upgrade pip 'setuptools>=77' 'cython>=3.2.6' "$numpy"
"$dir/host/bin/pip" install -q --no-compile --only-binary=:all: --implementation cp --python-version "$version" \
    --abi "cp${version/./}" --abi abi3 --abi none --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 \
    --platform manylinux2014_aarch64 --platform any --target "$root/usr/lib/python3/dist-packages" "$numpy" safetensors \
    pytest pytest-benchmark hypothesis threadpoolctl joblib rich matplotlib scikit-learn
# a child that a test starts has to be emulated too
echo "import sys; sys.executable = '$dir/arm64/python'" >"$root/usr/lib/python3/dist-packages/emulated.pth"
"$dir/arm64/python" -c 'import platform, numpy; print(platform.machine(), platform.python_version(), "NumPy", numpy.__version__)'
