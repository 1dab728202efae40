// CUDA kernels against the CPU's, launched as the engine launches them: on the stand-in, and on a GPU where one is.
// Those for packed weights: cuda_packed_test.cpp.
#include "cuda_device.h"
#include "golden.h"
#include "kernels/adamw.h"
#include "kernels/cuda/launch.h"
#include "kernels/dropout.h"
#include "kernels/elementwise.h"
#include "kernels/norm.h"

namespace kernels = qlora::kernels;
namespace cuda = qlora::kernels::cuda;

class CudaKernelsTest : public QObject {
    Q_OBJECT

  private slots:
    void norms_rows_data() { CudaDevice::add_rows(); }
    void norms_rows() {
        CUDA_DEVICE(device)
        for (const bool centred : {false, true})
            for (const std::int64_t width : {1, 5, 64, 576, 2500}) {
                constexpr std::int64_t rows = 5;
                Floats x = normal(1, rows * width), y(x.size()), dx(x.size());
                for (float& value : x) value += 0.5f;
                const Floats weight = normal(2, width), bias = normal(3, width), dy = normal(4, rows * width);
                kernels::NormRule rule{centred, 1e-3f, weight.data(), centred ? bias.data() : nullptr};
                kernels::norm(rule, x.data(), rows, width, y.data());
                kernels::norm_backward(rule, x.data(), dy.data(), rows, width, dx.data());
                const OnDevice<float> x_there(device, x), weight_there(device, weight), bias_there(device, bias),
                    y_there(device, x.size()), d_there(device, dy);
                rule.weight = weight_there;
                rule.bias = centred ? static_cast<float*>(bias_there) : nullptr;
                cuda::norm(device.runner(), rule, x_there, rows, width, y_there);
                QVERIFY(furthest(y_there.get(), y) < 2e-6);
                cuda::norm_backward(device.runner(), rule, x_there, d_there, rows, width, d_there);  // in place
                QVERIFY(furthest(d_there.get(), dx) < 5e-6);
            }
    }

    void rotates_to_the_bit_data() { CudaDevice::add_rows(); }
    void rotates_to_the_bit() {
        CUDA_DEVICE(device)
        for (const bool backward : {false, true})
            for (const auto& [heads, dim, half, gap] : std::vector<std::array<std::int64_t, 4>>{
                     {3, 64, 32, 0}, {2, 10, 5, 0}, {2, 12, 4, 4}, {1, 7, 2, 3}, {4, 16, 8, 16}}) {
                constexpr std::int64_t rows = 11;
                const std::int64_t stride = heads * dim + gap;
                const Floats x = normal(1, rows * stride), cosines = normal(2, rows * half),
                             sines = normal(3, rows * half);
                Floats y(size(rows * heads * dim));
                kernels::Rotation rotation{heads, dim, half, cosines.data(), sines.data(), backward};
                kernels::rotate(rotation, x.data(), stride, rows, y.data());
                const OnDevice<float> x_there(device, x), cosines_there(device, cosines), sines_there(device, sines),
                    y_there(device, y.size());
                rotation.cosines = cosines_there;
                rotation.sines = sines_there;
                cuda::rotate(device.runner(), rotation, x_there, stride, rows, y_there);
                QCOMPARE(first_difference(y_there.get(), y), std::int64_t{-1});
                if (gap > 0) continue;
                cuda::rotate(device.runner(), rotation, x_there, stride, rows, x_there);
                QCOMPARE(first_difference(x_there.get(), y), std::int64_t{-1});
            }
    }

    void gates_data() { CudaDevice::add_rows(); }
    void gates() {
        CUDA_DEVICE(device)
        for (const auto kind : {kernels::Gate::silu, kernels::Gate::gelu_tanh})
            for (const auto& [width, gap] :
                 std::vector<std::pair<std::int64_t, std::int64_t>>{{1, 0}, {64, 64}, {33, 0}, {128, 3}}) {
                constexpr std::int64_t rows = 7;
                const std::int64_t stride = width + gap;
                Floats x = normal(1, rows * stride, 3), u = normal(2, rows * stride);
                x[0] = -200, x[size(stride)] = 200;
                const Floats dout = normal(3, rows * width);
                Floats out(size(rows * width)), dgate = x, dup = u;
                kernels::gate(kind, x.data(), u.data(), stride, rows, width, out.data());
                kernels::gate_backward(kind, x.data(), u.data(), stride, dout.data(), rows, width, dgate.data(),
                                       dup.data());
                const OnDevice<float> x_there(device, x), u_there(device, u), d_there(device, dout),
                    out_there(device, out.size());
                cuda::gate(device.runner(), kind, x_there, u_there, stride, rows, width, out_there);
                QVERIFY(furthest(out_there.get(), out) < 1e-6);
                cuda::gate_backward(device.runner(), kind, x_there, u_there, stride, d_there, rows, width, x_there,
                                    u_there);
                QVERIFY(furthest(x_there.get(), dgate) < 3e-6);
                QVERIFY(furthest(u_there.get(), dup) < 1e-6);
            }
    }

    void tells_the_loss_data() { CudaDevice::add_rows(); }
    void tells_the_loss() {
        CUDA_DEVICE(device)
        for (const std::int64_t classes : {2, 31, 512, 5003})
            for (const bool gradients : {false, true}) {
                constexpr std::int64_t rows = 6;
                Floats logits = normal(9, rows * classes, 4);
                for (std::int64_t c = 0; c < classes; ++c) logits[size(2 * classes + c)] += 300;
                std::vector<std::int64_t> targets;
                for (std::int64_t r = 0; r < rows; ++r) targets.push_back(r == 0 ? 0 : (r * 7919) % classes);
                const OnDevice<float> there(device, logits);
                const OnDevice<double> losses_there(device, rows);
                const OnDevice<std::int64_t> targets_there(device, targets);
                std::vector<double> losses(rows);
                kernels::cross_entropy(logits.data(), rows, classes, targets.data(), gradients, losses.data());
                cuda::cross_entropy(device.runner(), there, rows, classes, targets_there, gradients, losses_there);
                const auto got = losses_there.get();
                for (std::size_t r = 0; r < rows; ++r)
                    QVERIFY2(std::abs(got[r] - losses[r]) < 2e-6 * (1 + losses[r]),
                             qPrintable(QString("%1 %2 classes %3 row %4")
                                            .arg(got[r], 0, 'g', 17)
                                            .arg(losses[r], 0, 'g', 17)
                                            .arg(classes)
                                            .arg(r)));
                QVERIFY(furthest(there.get(), logits) < 1e-6 || !gradients);
            }
    }
    void a_broken_logit_is_a_broken_loss_data() { CudaDevice::add_rows(); }
    void a_broken_logit_is_a_broken_loss() {
        CUDA_DEVICE(device)
        for (const float broken : {NAN, INFINITY})
            for (const std::int64_t at : {0, 1, 600}) {
                Floats logits = normal(9, 2 * 700);
                logits[size(at)] = broken;
                const OnDevice<float> there(device, logits);
                const OnDevice<double> losses(device, 2);
                const OnDevice<std::int64_t> targets(device, std::vector<std::int64_t>{5, 6});
                cuda::cross_entropy(device.runner(), there, 2, 700, targets, true, losses);
                QVERIFY(!std::isfinite(losses.get()[0]));
                QVERIFY(std::isfinite(losses.get()[1]));
            }
    }

    void updates_parameters_data() { CudaDevice::add_rows(); }
    void updates_parameters() {
        CUDA_DEVICE(device)
        const kernels::AdamWRule rule{.keep = 0.999f, .rate = 0.01f, .root = 0.3f, .gradient_scale = 0.7f};
        for (const std::int64_t n : {1, 4, 255, 256, 1003, 5000}) {
            Floats values = normal(1, n), first = normal(2, n, 0.01f), second = normal(3, n, 0.01f);
            const Floats gradients = normal(4, n);
            for (float& v : second) v *= v;
            const OnDevice<float> g(device, gradients), x(device, values), m(device, first), v(device, second);
            for (const std::int64_t from : {0, 0, 1}) {  // a part may begin anywhere
                kernels::adamw(rule, gradients.data() + from, n - from, values.data() + from, first.data() + from,
                               second.data() + from);
                cuda::adamw(device.runner(), rule, g + from, n - from, x + from, m + from, v + from);
            }
            QVERIFY(furthest(x.get(), values) < 1e-6);
            QVERIFY(furthest(m.get(), first) < 1e-7);
            QVERIFY(furthest(v.get(), second) < 1e-7);
        }
    }

    void updates_moments_in_eight_bit_data() { CudaDevice::add_rows(); }
    void updates_moments_in_eight_bit() {
        CUDA_DEVICE(device)
        const kernels::AdamWRule rule{.keep = 0.999f, .rate = 0.01f, .root = 0.3f, .gradient_scale = 0.7f};
        for (const std::int64_t n : {1, 256, 1003}) {
            const std::int64_t blocks = kernels::block_count(n, kernels::moment_block);
            Floats values = normal(1, n);
            Bytes first(size(n)), second(size(n));
            Floats first_absmax(size(blocks)), second_absmax(size(blocks));
            const OnDevice<float> x(device, values), m_absmax(device, first_absmax), v_absmax(device, second_absmax);
            const OnDevice<std::uint8_t> m(device, first), v(device, second);
            for (std::uint64_t step = 0; step < 4; ++step) {
                const Floats gradients = normal(40 + step, n);
                const OnDevice<float> g(device, gradients);
                kernels::adamw_8bit(rule, gradients.data(), n, values.data(), {first.data(), first_absmax.data()},
                                    {second.data(), second_absmax.data()});
                cuda::adamw_8bit(device.runner(), rule, g, n, x, {m, m_absmax}, {v, v_absmax});
            }
            QVERIFY(furthest(x.get(), values) < 1e-5);
            QVERIFY(furthest(m_absmax.get(), first_absmax) < 1e-6);
            QVERIFY(furthest(v_absmax.get(), second_absmax) < 1e-6);
            const auto codes_differ = [](const Bytes& a, const Bytes& b) {
                std::size_t differing = 0;
                for (std::size_t i = 0; i < a.size(); ++i)
                    if (a[i] != b[i]) differing += std::abs(int{a[i]} - int{b[i]}) > 1 ? a.size() : 1;
                return differing;
            };
            // CPUs without fused multiply-adds round otherwise.
            QVERIFY(codes_differ(m.get(), first) <= first.size() / 100);
            QVERIFY(codes_differ(v.get(), second) <= second.size() / 100);
        }
    }

    void sums_squares_data() { CudaDevice::add_rows(); }
    void sums_squares() {
        CUDA_DEVICE(device)
        for (const std::int64_t n : {1, 5, 1000, 65536, 65536 * 2 + 4099}) {
            const Floats x = normal(8, n);
            const OnDevice<float> there(device, x);
            const OnDevice<double> sums(device, size(cuda::square_sums(n)));
            cuda::sum_of_squares(device.runner(), there, n, sums);
            double got = 0, wanted = 0;
            for (const double sum : sums.get()) got += sum;
            for (const float value : x) wanted += double{value} * value;
            QVERIFY(std::abs(got - wanted) < 1e-6 * wanted);
        }
    }

    void drops_the_same_elements_data() { CudaDevice::add_rows(); }
    void drops_the_same_elements() {
        CUDA_DEVICE(device)
        for (const std::int64_t n : {1, 4, 1003}) {
            const Floats x = normal(8, n);
            const kernels::DropoutStream stream{{3, 0, 9}, {0xDEADBEEF, 17}};
            const auto rate = kernels::dropout_rate(0.25);
            Floats wanted(x.size());
            kernels::drop(rate, stream, 0, x.data(), n, wanted.data());
            QVERIFY(n < 1000 || std::ranges::count(wanted, 0.0f) > n / 5);
            const OnDevice<float> there(device, x);
            cuda::drop(device.runner(), rate, stream, there, n, there);
            QCOMPARE(first_difference(there.get(), wanted), std::int64_t{-1});
        }
        const std::vector<std::uint32_t> head_keys{7, 0xFFFFFFFF, 12345};
        for (const auto& [asked, keys] :
             std::vector<std::pair<std::int64_t, std::int64_t>>{{1, 1}, {5, 33}, {64, 64}}) {
            const auto rate = kernels::dropout_rate(0.1);
            Floats wanted(head_keys.size() * size(asked * keys));
            for (std::size_t head = 0; head < head_keys.size(); ++head)
                kernels::score_factors({rate, head_keys[head]}, 0, asked, keys,
                                       wanted.data() + head * size(asked * keys));
            const OnDevice<std::uint32_t> keys_there(device, head_keys);
            const OnDevice<float> out(device, wanted.size());
            cuda::score_factors(device.runner(), rate, keys_there, 3, asked, keys, out);
            QCOMPARE(first_difference(out.get(), wanted), std::int64_t{-1});
        }
    }

    // The stand-in tells what a GPU would only hang on or compute wrongly.
    void the_stand_in_refuses_what_does_not_fit() {
        StandIn stand_in;
        float x = 0;
        const cuda::Argument one{&x, sizeof(x)};
        QVERIFY_THROWS_EXCEPTION(std::logic_error, stand_in.run({"norm", "nothing", 1, 32}, {&one, 1}));
        QVERIFY_THROWS_EXCEPTION(std::logic_error, stand_in.run({"dropout", "dropout", 1, 32}, {&one, 1}));
        QVERIFY_THROWS_EXCEPTION(std::length_error, cuda::norm(stand_in, {}, &x, std::int64_t{1} << 40, 1, &x));
    }
};

QTEST_GUILESS_MAIN(CudaKernelsTest)
#include "cuda_kernels_test.moc"
