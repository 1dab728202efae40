// The engine on a GPU against the engine on the CPU: weights, models, gradients, whole runs. On the stand-in, whose
// kernels are the GPU's own sources; and on a GPU where one is present, else skipped with the reason.
#include "tests/torch_tests.h"

#include <fstream>

#include "core/adapters/lora.h"
#include "core/base/out_of_memory.h"
#include "core/evaluate/device.h"
#include "core/gpu/gpu.h"
#include "core/memory/meters.h"
#include "core/nn/functions/dropout.h"
#include "core/nn/generate.h"
#include "core/nn/load.h"
#include "core/quant/matmul.h"
#include "core/train/trainer.h"
#include "tests/core/train/steps.h"
#include "tests/kernels/cuda_stand_in.h"

using namespace qlora;
using namespace qlora::train;
using recipe::Precision;
using torch::Tensor;
namespace fs = std::filesystem;

namespace {

double relative(const Tensor& a, const Tensor& b) {
    return ((a.cpu() - b.cpu()).norm() / (b.cpu().norm() + 1e-12)).item<double>();
}

// Where a row of a test's data computes.
class Place {
  public:
    static void add_rows() {
        QTest::addColumn<QString>("where");
        QTest::newRow("stand-in") << "stand-in";
        QTest::newRow("GPU") << "GPU";
    }
    explicit Place(const QString& where) : gpu_(where == "GPU") {
        if (gpu_)
            gpu::use(0);
        else
            scope_.emplace(stand_in_);
    }
    torch::Device device() const { return gpu_ ? torch::Device(torch::kCUDA, 0) : torch::Device(torch::kCPU); }
    std::string name() const { return gpu_ ? "cuda" : "cpu"; }
    std::int64_t launches() const { return stand_in_.launches(); }
    bool gpu() const { return gpu_; }

  private:
    bool gpu_;
    StandIn stand_in_;
    std::optional<gpu::StandInScope> scope_;
};

#define PLACE(name)                                                                           \
    QFETCH(QString, where);                                                                   \
    if (where == "GPU" && gpu::available().devices == 0) QSKIP(gpu::available().why.c_str()); \
    std::optional<Place> name(where);

nn::Model tiny(const std::string& name, Precision precision, torch::Device device = torch::kCPU) {
    Control control;
    return nn::load(nn::ModelFiles::open(golden(name.c_str())), {precision, {}, device}, control);
}

// Three rows whose tokens are all trained on.
data::Batch rows_of(const nn::ModelConfig& config) {
    data::Batch batch;
    batch.starts = {0};
    for (const std::int32_t length : {7, 12, 3}) {
        for (std::int32_t i = 0; i < length; ++i) {
            batch.ids.push_back(static_cast<std::int32_t>((i * 31 + length) % config.vocabulary));
            batch.positions.push_back(i);
            batch.targets.push_back(static_cast<std::int32_t>((i * 17 + 5) % config.vocabulary));
        }
        batch.starts.push_back(static_cast<std::int32_t>(batch.ids.size()));
        batch.rows.push_back(static_cast<data::RowIndex>(batch.rows.size()));
    }
    if (config.encoder_decoder()) batch.answer_starts = batch.starts;
    return batch;
}

// The loss of a batch and the gradients of an adapter whose B is not zero.
struct Learned {
    double loss = 0;
    Tensor gradients, logits;
};
Learned learned(nn::Model& model, double dropout = 0) {
    adapters::LoraConfig config;
    config.rank = 4;
    config.alpha = 8;
    config.dropout = dropout;
    const auto adapter = adapters::Lora::attach(model, config, 3);
    {
        torch::NoGradGuard no_grad;
        torch::manual_seed(5);
        adapter->values().add_(0.02 * torch::randn({adapter->parameters()}).to(model.device()));
    }
    const gpu::BackwardHere here;
    Tensor loss = model.loss_sum(rows_of(model.config), {dropout > 0, 7, 3});
    loss.backward();
    Learned result{loss.item<double>(), adapter->gradients().cpu().clone(), {}};
    std::vector<std::int32_t> ids{3, 4, 5, 6, 7};
    result.logits = model.logits(nn::Input{
        ids, {}, model.config.encoder_decoder() ? std::vector<std::int32_t>{0, 4} : std::vector<std::int32_t>{}});
    return result;
}

// Refuses memory from the given kernel on, as LibTorch does.
class ShortOfMemory final : public kernels::cuda::Runner {
  public:
    explicit ShortOfMemory(std::int64_t after) : left_(after) {}
    void run(const kernels::cuda::Launch& launch, std::span<const kernels::cuda::Argument> arguments) override {
        if (--left_ < 0)
            TORCH_CHECK_WITH(OutOfMemoryError, false,
                             "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 23.69 GiB "
                             "of which 1.06 GiB is free. ",
                             "Including non-PyTorch memory, this process has 22.00 GiB memory in use.");
        behind_.run(launch, arguments);
    }
    const float* tables() override { return behind_.tables(); }

  private:
    StandIn behind_;
    std::int64_t left_;
};

}  // namespace

class GpuTest : public QObject {
    Q_OBJECT
    QTemporaryDir folder_;
    int serial_ = 0;

    recipe::Recipe tiny_recipe() {
        const auto data = folder_.path().toStdString() + "/data.jsonl";
        std::ofstream out(data);
        for (int i = 0; i < 24; ++i)
            out << "{\"prompt\": \"What is number " << i << "?\", \"completion\": \"It is " << i % 7
                << " of course.\"}\n";
        recipe::Recipe r;
        r.model = golden("tiny_llama/plain");
        r.precision = Precision::nf4;
        r.compute = "fp32";
        r.data.train = data;
        r.data.max_length = 64;
        r.data.validation_fraction = 0.14;
        r.method.rank = 4;
        r.method.alpha = 8;
        r.method.dropout = 0.1;
        r.train.batch_size = 4;
        r.train.max_steps = 8;
        r.train.learning_rate = 5e-3;
        r.train.checkpoint_every = 4;
        r.evaluate.every = 8;
        r.evaluate.samples = 1;
        r.evaluate.max_tokens = 4;
        r.output = "unused";
        return r;
    }
    std::pair<Event, std::vector<double>> run(const recipe::Recipe& recipe, const std::string& device,
                                              bool resume = false) {
        Control control;
        RunOptions options;
        options.run_folder =
            fs::path(folder_.path().toStdString()) / ("run-" + std::to_string(resume ? serial_ : ++serial_));
        options.device = device;
        options.threads = 1;
        options.resume = resume;
        std::vector<double> losses;
        const Event last = train::run(recipe, options, control, [&](const Event& event) {
            if (auto* step = std::get_if<StepDone>(&event)) losses.push_back(step->loss);
        });
        return {last, losses};
    }

  private slots:
    void initTestCase() {
        if (qEnvironmentVariableIsSet("QLORA_TEST_STAND_IN")) QSKIP("this test brings its own stand-in");
    }

    void weights_compute_what_they_do_on_the_cpu_data() { Place::add_rows(); }
    void weights_compute_what_they_do_on_the_cpu() {
        torch::manual_seed(1);
        constexpr std::int64_t rows = 96, cols = 160;
        const Tensor values = torch::randn({rows, cols}) * 0.05, x = torch::randn({5, cols}),
                     dy = torch::randn({5, rows}),
                     ids = torch::tensor(std::vector<std::int64_t>{95, 0, 3, 3}, torch::kInt64);
        for (const auto precision : {Precision::fp32, Precision::bf16, Precision::fp16, Precision::int8, Precision::nf4,
                                     Precision::fp4, Precision::int4})
            for (const bool nested : {false, true}) {
                const auto here = quant::Weight::quantized(values, precision, {64, nested});
                const Tensor dense = here.dequantized(), y = quant::matmul_transposed(x, here),
                             one = quant::matmul_transposed(x.narrow(0, 1, 1), here), dx = quant::matmul(dy, here),
                             chosen = here.gather(ids);
                PLACE(place)
                const auto there = here.to(place->device());
                const auto moved = [&](const Tensor& t) { return t.to(place->device()); };
                QCOMPARE(there.bytes(), here.bytes());
                QVERIFY(torch::equal(there.dequantized().cpu(), dense));
                QVERIFY(torch::equal(there.gather(moved(ids)).cpu(), chosen));
                QVERIFY(relative(quant::matmul_transposed(moved(x), there), y) < 1e-5);
                QVERIFY(relative(quant::matmul_transposed(moved(x.narrow(0, 1, 1)), there), one) < 1e-5);
                QVERIFY(relative(quant::matmul(moved(dy), there), dx) < 1e-5);
                Tensor sum = moved(torch::ones({5, cols}));
                quant::add_matmul(sum, moved(dy), there);
                QVERIFY(relative(sum - 1, dx) < 1e-5);
                QVERIFY(relative(quant::matmul_transposed(quant::Operand(moved(x), kernels::Arithmetic::bf16), there), y) < 2e-2);
                QVERIFY(relative(quant::matmul(quant::Operand(moved(dy), kernels::Arithmetic::bf16), there), dx) < 2e-2);
            }
    }

    void models_learn_what_they_do_on_the_cpu_data() {
        QTest::addColumn<QString>("where");
        QTest::addColumn<QString>("model");
        for (const char* where : {"stand-in", "GPU"})
            for (const char* model :
                 {"tiny_llama/plain", "families/gemma2", "families/gemma3", "families/gpt2", "families/mistral",
                  "families/phi3", "families/qwen3", "families/t5", "families/t5_gated"})
                QTest::addRow("%s, %s", where, model) << where << model;
    }
    void models_learn_what_they_do_on_the_cpu() {
        QFETCH(QString, model);
        const std::string name = model.toStdString();
        for (const auto precision : {Precision::fp32, Precision::nf4}) {
            auto here = tiny(name, precision);
            const Learned wanted = learned(here);
            PLACE(place)
            auto there = tiny(name, precision, place->device());
            QVERIFY(there.device() == place->device());
            const Learned got = learned(there);
            QVERIFY2(std::abs(got.loss - wanted.loss) < 1e-4 * wanted.loss,
                     qPrintable(QString("%1 and %2").arg(got.loss).arg(wanted.loss)));
            QVERIFY2(relative(got.gradients, wanted.gradients) < 1e-3,
                     qPrintable(QString::number(relative(got.gradients, wanted.gradients))));
            QVERIFY(relative(got.logits, wanted.logits) < 1e-3);
            QVERIFY(place->gpu() || place->launches() > 0);
        }
    }

    void dropout_drops_the_same_data() { Place::add_rows(); }
    void dropout_drops_the_same() {
        torch::manual_seed(2);
        const Tensor x = torch::randn({37, 5});
        const Tensor wanted = nn::apply_dropout(x, 0.3, {true, 0x123456789ABCull, 77}, 4);
        auto here = tiny("tiny_llama/plain", Precision::fp32);
        const Learned learned_here = learned(here, 0.2);
        PLACE(place)
        QVERIFY(torch::equal(nn::apply_dropout(x.to(place->device()), 0.3, {true, 0x123456789ABCull, 77}, 4).cpu(),
                             wanted));
        auto there = tiny("tiny_llama/plain", Precision::fp32, place->device());
        const Learned learned_there = learned(there, 0.2);
        QVERIFY(relative(learned_there.gradients, learned_here.gradients) < 1e-3);
    }

    void texts_go_on_as_on_the_cpu_data() { Place::add_rows(); }
    void texts_go_on_as_on_the_cpu() {
        Control control;
        const std::vector<std::int32_t> prompt{3, 4, 5, 6};
        for (const char* name : {"tiny_llama/plain", "families/gemma2", "families/t5"}) {
            const auto here = tiny(name, Precision::fp32);
            const auto wanted = nn::generate(here, prompt, 8, {}, {}, control).ids;
            PLACE(place)
            const auto there = tiny(name, Precision::fp32, place->device());
            QVERIFY(nn::generate(there, prompt, 8, {}, {}, control).ids == wanted);
            nn::Sampling drawn;
            drawn.temperature = 1;
            QCOMPARE(nn::generate(there, prompt, 8, {}, drawn, control).ids.size(), 8u);
        }
    }

    void runs_follow_the_cpus_trajectory_data() { Place::add_rows(); }
    void runs_follow_the_cpus_trajectory() {
        for (const auto optimizer : {recipe::Optimizer::adamw, recipe::Optimizer::adamw_8bit}) {
            auto recipe = tiny_recipe();
            recipe.train.optimizer = optimizer;
            const auto [last_here, wanted] = run(recipe, "cpu");
            QVERIFY(std::holds_alternative<Finished>(last_here));
            PLACE(place)
            const auto [last, got] = run(recipe, place->name());
            QVERIFY2(std::holds_alternative<Finished>(last),
                     std::holds_alternative<Failed>(last) ? std::get<Failed>(last).message.c_str() : "");
            QCOMPARE(got.size(), wanted.size());
            for (std::size_t i = 0; i < wanted.size(); ++i)
                QVERIFY2(std::abs(got[i] - wanted[i]) < 2e-3 * wanted[i],
                         qPrintable(QString("step %1: %2 and %3").arg(i + 1).arg(got[i]).arg(wanted[i])));
            // Its checkpoints are read again.
            recipe.train.max_steps = 10;
            const auto [more, resumed] = run(recipe, place->name(), true);
            QVERIFY(std::holds_alternative<Finished>(more));
            QCOMPARE(resumed.size(), 2u);
        }
    }

    void memory_that_runs_out_is_explained_and_survived() {
        const auto recipe = tiny_recipe();
        for (const std::int64_t after : {0, 40, 200}) {
            ShortOfMemory runner(after);
            const gpu::StandInScope scope(runner);
            const auto [last, losses] = run(recipe, "cpu");
            QVERIFY(std::holds_alternative<Failed>(last));
            const auto& failed = std::get<Failed>(last);
            QCOMPARE(failed.code, std::string("memory.device"));
            QVERIFY2(
                failed.message.find("2.50 GiB more were wanted, 1.06 GiB of 23.69 GiB are free") != std::string::npos,
                failed.message.c_str());
            QVERIFY(failed.hint.find("smaller batch") != std::string::npos);
        }
        QVERIFY(std::holds_alternative<Finished>(run(recipe, "cpu").first));
        QVERIFY(!out_of_device_memory(std::runtime_error("something else")));
    }
    void memory_runs_out_on_a_gpu() {
        if (gpu::available().devices == 0) QSKIP(gpu::available().why.c_str());
        gpu::use(0);
        const auto options = torch::TensorOptions(torch::Device(torch::kCUDA, 0)).dtype(torch::kUInt8);
        try {
            torch::empty({std::int64_t{1} << 45}, options);
            QFAIL("32 TiB are there");
        } catch (const std::exception& error) {
            const auto told = out_of_device_memory(error);
            QVERIFY2(told, error.what());
            qInfo("%s", told->what());
        }
        // Counted by tag, and given back.
        const auto before = memory::read();
        {
            memory::TagScope scope(MemoryTag::scratch);
            const Tensor block = torch::empty({std::int64_t{1} << 28}, options);
            QVERIFY(memory::read().live[MemoryTag::scratch] >=
                    before.live[MemoryTag::scratch] + (std::int64_t{1} << 28));
        }
        QCOMPARE(memory::read().live[MemoryTag::scratch], before.live[MemoryTag::scratch]);
        memory::give_back();
        QVERIFY(memory::read().device->used < before.device->used + (std::int64_t{1} << 27));
    }

    void devices_are_chosen_by_name() {
        QCOMPARE(evaluate::gpu_index("cpu"), -1);
        const int devices = gpu::available().devices;
        QCOMPARE(evaluate::gpu_index("auto"), devices > 0 ? 0 : -1);
        QCOMPARE(code_of([] { evaluate::gpu_index("cuda:99"); }), std::string("device"));
        for (const char* wrong : {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda0"})
            QCOMPARE(code_of([&] { evaluate::gpu_index(wrong); }), std::string("device"));
        if (devices > 0) return;
        try {
            evaluate::use_device("cuda", 1);
            QFAIL("a GPU that is not there is used");
        } catch (const Error& error) {
            QVERIFY2(error.message().find(gpu::available().why) != std::string::npos, error.what());
            QVERIFY(!error.hint().empty());
        }
    }
};

QTEST_GUILESS_MAIN(GpuTest)
#include "gpu_test.moc"
