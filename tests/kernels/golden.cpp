#include "golden.h"

#include <hwy/highway.h>

#include <QCryptographicHash>
#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/gemm.h"

void add_targets() {
    QTest::addColumn<qint64>("target");
    hwy::SetSupportedTargetsForTest(0);
    for (std::int64_t left = hwy::SupportedTargets() & HWY_TARGETS; left != 0; left &= left - 1) {
        const std::int64_t target = left & -left;
        QTest::newRow(hwy::TargetName(target)) << qint64{target};
    }
}

void use_target(qint64 target) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

bool rounds_to_bf16(qint64 target) {
    return target > HWY_AVX3 || qlora::kernels::has_bf16_products();
}

bool multiplies_bf16(qint64 target) {
    return target <= HWY_AVX3 && qlora::kernels::has_bf16_products();
}

std::uint64_t hash64(std::uint64_t seed, std::uint64_t i) {
    std::uint64_t z = (i + seed) * 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

std::vector<float> normal(std::uint64_t seed, std::int64_t n, float scale) {
    std::vector<float> x(n);
    for (std::int64_t i = 0; i < n; ++i) {
        const std::uint64_t h = hash64(seed, i);
        const auto total = (h & 0xFFFF) + (h >> 16 & 0xFFFF) + (h >> 32 & 0xFFFF) + (h >> 48);
        x[i] = static_cast<float>(static_cast<std::int64_t>(total) - 131070) / 37837.0f * scale;
    }
    return x;
}

qlora::Json read_golden(const char* name) {
    return qlora::read_json_file(std::string(QLORA_SOURCE_DIR "/tests/golden/") + name);
}

std::string sha256(const void* data, std::size_t bytes) {
    QCryptographicHash hash(QCryptographicHash::Sha256);
    for (std::size_t done = 0; done < bytes;) {
        const std::size_t part = std::min<std::size_t>(bytes - done, 1 << 30);
        hash.addData(QByteArrayView(static_cast<const char*>(data) + done, static_cast<qsizetype>(part)));
        done += part;
    }
    return hash.result().toHex().toStdString();
}

std::vector<float> floats_of_hex(const std::string& hex) {
    const QByteArray bytes = QByteArray::fromHex(QByteArray::fromStdString(hex));
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
}

std::int64_t first_difference(std::span<const float> a, std::span<const float> b) {
    for (std::size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
        if (i >= a.size() || i >= b.size()) return static_cast<std::int64_t>(i);
        if (std::isnan(a[i]) && std::isnan(b[i])) continue;
        if (std::bit_cast<std::uint32_t>(a[i]) != std::bit_cast<std::uint32_t>(b[i]))
            return static_cast<std::int64_t>(i);
    }
    return -1;
}
