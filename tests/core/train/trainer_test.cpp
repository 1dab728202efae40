// Whole runs of a tiny model on a small data set: what they write, and that nothing interrupts them for good.
#include "tests/torch_tests.h"

#include <fstream>

#include "core/formats/safetensors.h"
#include "core/train/checkpoint.h"
#include "core/train/trainer.h"
#include "kernels/gemm.h"

using namespace qlora;
using namespace qlora::train;
namespace fs = std::filesystem;

namespace {

struct Outcome {
    Event last;
    std::vector<Event> events;
    std::map<std::int64_t, double> losses;  // by step
    template <typename T>
    std::vector<T> all() const {
        std::vector<T> found;
        for (const auto& event : events)
            if (auto* e = std::get_if<T>(&event)) found.push_back(*e);
        return found;
    }
    std::string reason() const {
        if (auto* finished = std::get_if<Finished>(&last)) return finished->reason;
        return "failed: " + std::get<Failed>(last).code + ": " + std::get<Failed>(last).message;
    }
};

Outcome run_recipe(const recipe::Recipe& recipe, const fs::path& folder, bool resume = false,
              const std::function<void(const Event&, Control&)>& listen = {}) {
    Outcome outcome;
    Control control;
    RunOptions options;
    options.run_folder = folder;
    options.resume = resume;
    options.threads = 2;
    outcome.last = run(recipe, options, control, [&](const Event& event) {
        outcome.events.push_back(event);
        if (auto* step = std::get_if<StepDone>(&event)) outcome.losses[step->step] = step->loss;
        if (listen) listen(event, control);
    });
    return outcome;
}

}  // namespace

class TrainerTest : public QObject {
    Q_OBJECT
    QTemporaryDir folder_;
    int serial_ = 0;

    fs::path fresh() { return fs::path(folder_.path().toStdString()) / ("run-" + std::to_string(serial_++)); }
    fs::path data_file() { return fs::path(folder_.path().toStdString()) / "data.jsonl"; }

    recipe::Recipe tiny_recipe() {
        recipe::Recipe r;
        r.model = golden("tiny_llama/plain");
        r.data.train = data_file().string();
        r.data.max_length = 64;
        r.data.validation_fraction = 0.14;
        r.method.rank = 4;
        r.method.alpha = 8;
        r.train.batch_size = 4;
        r.train.epochs = 2;
        r.train.learning_rate = 5e-3;
        r.train.checkpoint_every = 4;
        r.train.keep_checkpoints = 100;
        r.evaluate.every = 5;
        r.evaluate.samples = 1;
        r.evaluate.max_tokens = 4;
        r.output = "unused";
        return r;
    }

    // Trains whole, and again with interruptions given by `listen`, resuming until it is done; then compares.
    void verify_same(const recipe::Recipe& recipe, const std::function<void(const Event&, Control&)>& interrupt) {
        const auto whole_folder = fresh(), parts_folder = fresh();
        const Outcome whole = run_recipe(recipe, whole_folder);
        QCOMPARE(QString::fromStdString(whole.reason()), QString("completed"));
        std::map<std::int64_t, double> losses;
        int sittings = 0;
        for (bool done = false; !done; ++sittings) {
            QVERIFY(sittings < 30);
            const Outcome part = run_recipe(recipe, parts_folder, sittings > 0, interrupt);
            for (auto& [step, loss] : part.losses) losses[step] = loss;
            done = part.reason() == "completed";
            if (!done) QCOMPARE(QString::fromStdString(part.reason()), QString("stopped_and_saved"));
        }
        QVERIFY(sittings > 1);
        QVERIFY(losses == whole.losses);
        const auto last = "checkpoints/step-" + std::to_string(whole.losses.rbegin()->first);
        for (const char* file : {"adapter_model.safetensors", "optimizer.safetensors"})
            QVERIFY(read_file(whole_folder / last / file) == read_file(parts_folder / last / file));
        QVERIFY(read_file(whole_folder / "adapter/adapter_model.safetensors") == read_file(parts_folder / "adapter/adapter_model.safetensors"));
    }

  private slots:
    void initTestCase() {
        std::ofstream out(data_file());
        for (int i = 0; i < 44; ++i)
            out << "{\"prompt\": \"What is number " << i << "?\", \"completion\": \"It is " << i % 7 << " of course.\"}\n";
    }

    void a_run_that_stops_after_a_step_is_measured_there_and_goes_on_as_if_it_had_not() {
        const auto whole_folder = fresh(), parts_folder = fresh();
        const Outcome whole = run_recipe(tiny_recipe(), whole_folder);
        Control control;
        RunOptions options;
        options.run_folder = parts_folder;
        options.threads = 2;
        options.stop_after = [](std::int64_t step) { return step >= 7; };
        std::vector<std::int64_t> evaluated;
        const Event first = run(tiny_recipe(), options, control, [&](const Event& event) {
            if (auto* e = std::get_if<Evaluated>(&event)) evaluated.push_back(e->step);
        });
        QCOMPARE(std::get<Finished>(first).reason, std::string("stopped_and_saved"));
        QCOMPARE(std::get<Finished>(first).steps, 7);
        QVERIFY((evaluated == std::vector<std::int64_t>{0, 5, 7}));
        const Outcome rest = run_recipe(tiny_recipe(), parts_folder, true);
        QCOMPARE(rest.losses.begin()->first, 8);
        for (const auto& [step, loss] : rest.losses) QCOMPARE(loss, whole.losses.at(step));
        const auto last = "checkpoints/step-" + std::to_string(whole.losses.rbegin()->first);
        QVERIFY(read_file(whole_folder / last / "adapter_model.safetensors") == read_file(parts_folder / last / "adapter_model.safetensors"));
    }

    void a_run_learns_at_the_rates_it_is_given() {
        Control control;
        RunOptions options;
        options.run_folder = fresh();
        options.threads = 2;
        options.learning_rate = [](std::int64_t update) { return 1e-5 * double(update + 1); };
        std::vector<double> rates;
        run(tiny_recipe(), options, control, [&](const Event& event) {
            if (auto* step = std::get_if<StepDone>(&event)) rates.push_back(step->learning_rate);
        });
        QVERIFY(rates.size() > 3);
        for (std::size_t i = 0; i < rates.size(); ++i) QCOMPARE(rates[i], 1e-5 * double(i + 1));
    }

    void a_run_learns_and_leaves_what_it_promises() {
        const auto folder = fresh();
        auto recipe = tiny_recipe();
        recipe.train.epochs = 6;
        const Outcome outcome = run_recipe(recipe, folder);
        QCOMPARE(QString::fromStdString(outcome.reason()), QString("completed"));
        QVERIFY(std::holds_alternative<Finished>(outcome.events.back()));
        const auto loaded = outcome.all<Loaded>();
        QCOMPARE(loaded.size(), 1u);
        QCOMPARE(loaded[0].train_rows, 38);
        QCOMPARE(loaded[0].validation_rows, 6);
        QCOMPARE(loaded[0].steps, 60);
        QCOMPARE(outcome.losses.size(), 60u);
        QVERIFY(outcome.losses.at(60) < 0.7 * outcome.losses.at(1));
        const auto evaluated = outcome.all<Evaluated>();
        QCOMPARE(evaluated.front().step, 0);
        QVERIFY(evaluated.back().loss < evaluated.front().loss);
        QVERIFY(!evaluated.back().samples.empty());
        for (const auto& step : outcome.all<StepDone>()) {
            QVERIFY(step.bytes[MemoryTag::weights] > 0);
            QVERIFY(step.bytes[MemoryTag::activations] > 0);
            QCOMPARE(step.bytes[MemoryTag::optimizer], 2 * step.bytes[MemoryTag::adapters]);
            QVERIFY(step.trained_tokens > 0 && step.trained_tokens < step.tokens);
        }
        for (const char* file : {"recipe.json", "events.jsonl", "metrics.json", "adapter/adapter_config.json",
                                 "adapter/adapter_model.safetensors", "adapter/tokenizer.json", "checkpoints/step-60/state.json"})
            QVERIFY2(fs::exists(folder / file), file);
        const auto& finished = std::get<Finished>(outcome.last);
        QVERIFY(finished.metrics.at("perplexity") < finished.metrics.at("base_perplexity"));
        std::ifstream events(folder / "events.jsonl");
        int lines = 0;
        for (std::string line; std::getline(events, line); ++lines) from_json(parse_json(line, "events.jsonl"));
        QVERIFY(lines > 60);
    }

    void the_same_seed_gives_the_same_run() {
        auto recipe = tiny_recipe();
        const auto a = run_recipe(recipe, fresh()), b = run_recipe(recipe, fresh());
        QVERIFY(a.losses == b.losses);
        recipe.train.seed = 43;
        QVERIFY(run_recipe(recipe, fresh()).losses != a.losses);
    }

    // bf16's rounding does not change what is learned: each loss within a hundredth of the one in fp32.
    void a_run_in_bf16_learns_what_one_in_fp32_does() {
        auto recipe = tiny_recipe();
        recipe.compute = "fp32";
        const auto exact = run_recipe(recipe, fresh());
        recipe.compute = "bf16";
        const auto rounded = run_recipe(recipe, fresh());
        QCOMPARE(rounded.losses.size(), exact.losses.size());
        for (const auto& [step, loss] : exact.losses)
            QVERIFY2(std::abs(rounded.losses.at(step) - loss) <= 0.01 * loss, qPrintable(QString("step %1: %2 and %3").arg(step).arg(loss).arg(rounded.losses.at(step))));
        QCOMPARE(rounded.losses == exact.losses, !kernels::has_bf16_products());
    }

    void an_interrupted_run_equals_the_whole_one_data() {
        QTest::addColumn<int>("at");
        QTest::addColumn<double>("dropout");
        QTest::addColumn<int>("accumulate");
        QTest::addColumn<bool>("packing");
        QTest::addColumn<int>("optimizer");
        using O = recipe::Optimizer;
        const int adamw = int(O::adamw);
        QTest::newRow("with moments in 8 bit") << 3 << 0.0 << 1 << false << int(O::adamw_8bit);
        QTest::newRow("by SGD") << 3 << 0.0 << 1 << false << int(O::sgd);
        QTest::newRow("by Adafactor") << 3 << 0.0 << 1 << false << int(O::adafactor);
        QTest::newRow("by Lion") << 3 << 0.0 << 1 << false << int(O::lion);
        QTest::newRow("at a step") << 3 << 0.0 << 1 << false << adamw;
        QTest::newRow("at an epoch's edge") << 10 << 0.0 << 1 << false << adamw;
        QTest::newRow("with dropout") << 7 << 0.2 << 1 << false << adamw;
        QTest::newRow("with accumulation") << 3 << 0.1 << 3 << false << adamw;
        QTest::newRow("packed, twice") << 2 << 0.1 << 2 << true << adamw;
    }
    void an_interrupted_run_equals_the_whole_one() {
        QFETCH(int, at);
        QFETCH(double, dropout);
        QFETCH(int, accumulate);
        QFETCH(bool, packing);
        QFETCH(int, optimizer);
        auto recipe = tiny_recipe();
        recipe.method.dropout = dropout;
        recipe.train.accumulate = accumulate;
        recipe.data.packing = packing;
        if (packing) recipe.train.batch_size = 1;
        recipe.train.optimizer = static_cast<recipe::Optimizer>(optimizer);
        recipe.train.neftune_alpha = 5;
        recipe.method.lora_plus_ratio = 4;
        int seen = 0;
        verify_same(recipe, [&](const Event& event, Control& control) {
            if (std::holds_alternative<StepDone>(event) && ++seen == at) {
                control.stop_and_save();
                if (packing) seen = 0;  // every sitting does so many steps
            }
        });
    }

    void a_run_stopped_in_the_middle_of_a_step_equals_the_whole_one() {
        auto recipe = tiny_recipe();
        recipe.train.accumulate = 3;
        recipe.method.dropout = 0.1;
        int samples = 0;
        // MemorySample comes from within layers, that is, in mid-step.
        verify_same(recipe, [&](const Event& event, Control& control) {
            if (auto* step = std::get_if<StepDone>(&event); step && step->step == 2) samples = 1;
            if (std::holds_alternative<MemorySample>(event) && samples == 1) {
                samples = 2;
                control.stop_and_save();
            } else if (auto* s = std::get_if<StepDone>(&event); s && s->step == 5 && samples == 1) {
                samples = 2;  // the run was too quick for a sample: stop at a step
                control.stop_and_save();
            }
        });
    }

    void a_run_killed_after_a_checkpoint_equals_the_whole_one() {
        auto recipe = tiny_recipe();
        const auto whole = fresh(), killed = fresh();
        const auto outcome = run_recipe(recipe, whole, false, [&](const Event& event, Control&) {
            // What is on disk three steps after the checkpoint is what a kill would leave.
            if (auto* step = std::get_if<StepDone>(&event); step && step->step == 7) fs::copy(whole, killed, fs::copy_options::recursive);
        });
        QVERIFY(!fs::exists(killed / "adapter"));
        const auto resumed = run_recipe(recipe, killed, true);
        QCOMPARE(QString::fromStdString(resumed.reason()), QString("completed"));
        QCOMPARE(resumed.losses.begin()->first, 5);
        for (auto& [step, loss] : resumed.losses) QCOMPARE(loss, outcome.losses.at(step));
        for (const char* file : {"checkpoints/step-20/adapter_model.safetensors", "checkpoints/step-20/optimizer.safetensors"})
            QVERIFY(read_file(whole / file) == read_file(killed / file));
        // Its log reads as if it had never stopped.
        auto steps_of = [](const fs::path& folder) {
            std::vector<std::int64_t> steps;
            std::ifstream in(folder / "events.jsonl");
            for (std::string line; std::getline(in, line);)
                if (auto event = from_json(parse_json(line, "events")); auto* step = std::get_if<StepDone>(&event)) steps.push_back(step->step);
            return steps;
        };
        QVERIFY(steps_of(whole) == steps_of(killed));
    }

    void a_damaged_checkpoint_gives_way_to_the_one_before() {
        auto recipe = tiny_recipe();
        const auto folder = fresh();
        const auto whole = run_recipe(recipe, folder);
        fs::remove_all(folder / "checkpoints/step-20");
        auto bytes = read_file(folder / "checkpoints/step-16/optimizer.safetensors");
        bytes[bytes.size() / 2] ^= 1;
        std::ofstream(folder / "checkpoints/step-16/optimizer.safetensors", std::ios::binary) << bytes;
        // Readable, and not what was written.
        const auto state = folder / "checkpoints/step-12/state.json";
        Json changed = read_json_file(state);
        changed["state"]["position"]["index"] = 0;
        write_atomically(state, changed.dump());
        const auto resumed = run_recipe(recipe, folder, true);
        QCOMPARE(QString::fromStdString(resumed.reason()), QString("completed"));
        QCOMPARE(resumed.losses.begin()->first, 9);
        for (auto& [step, loss] : resumed.losses) QCOMPARE(loss, whole.losses.at(step));
        bool told = false;
        for (const auto& notice : resumed.all<Notice>()) told = told || notice.code == "resume.damaged";
        QVERIFY(told);
    }

    void other_data_cannot_be_resumed_with() {
        auto recipe = tiny_recipe();
        const auto folder = fresh();
        run_recipe(recipe, folder, false, [](const Event& event, Control& control) {
            if (std::holds_alternative<StepDone>(event)) control.stop_and_save();
        });
        recipe.data.answer_only = false;
        QCOMPARE(QString::fromStdString(run_recipe(recipe, folder, true).reason()).left(20), QString("failed: resume.data:"));
    }

    void accumulation_and_batches_weigh_tokens_alike() {
        auto first_loss = [&](int batch, int accumulate) {
            auto recipe = tiny_recipe();
            recipe.train.batch_size = batch;
            recipe.train.accumulate = accumulate;
            recipe.train.max_steps = 2;
            return run_recipe(recipe, fresh()).losses;
        };
        const auto a = first_loss(8, 1), b = first_loss(2, 4), c = first_loss(1, 8);
        for (int step : {1, 2}) {
            QVERIFY(std::abs(a.at(step) - b.at(step)) < 1e-5 * a.at(step));
            QVERIFY(std::abs(a.at(step) - c.at(step)) < 1e-5 * a.at(step));
        }
    }

    void checkpointing_activations_changes_no_loss_and_saves_memory() {
        auto recipe = tiny_recipe();
        const auto plain = run_recipe(recipe, fresh());
        recipe.train.gradient_checkpointing = true;
        const auto checkpointed = run_recipe(recipe, fresh());
        QVERIFY(plain.losses == checkpointed.losses);
        QVERIFY(checkpointed.all<StepDone>()[3].bytes[MemoryTag::activations] < plain.all<StepDone>()[3].bytes[MemoryTag::activations]);
    }

    void early_stopping_restores_the_best_adapter() {
        auto recipe = tiny_recipe();
        recipe.train.epochs = 60;
        recipe.train.learning_rate = 0.1;  // overshoots, so that the validation loss turns
        recipe.train.schedule = recipe::Schedule::constant;
        recipe.evaluate.every = 2;
        recipe.early_stopping.patience = 3;
        const auto folder = fresh();
        const auto outcome = run_recipe(recipe, folder);
        QCOMPARE(QString::fromStdString(outcome.reason()), QString("early_stopping"));
        const auto& finished = std::get<Finished>(outcome.last);
        QCOMPARE(finished.steps, finished.best_step + 6);
        double best = 1e9;
        for (const auto& e : outcome.all<Evaluated>())
            if (e.step > 0) best = std::min(best, e.loss);
        QCOMPARE(finished.metrics.at("validation_loss"), best);
        QVERIFY(read_file(folder / "adapter/adapter_model.safetensors") ==
                read_file(folder / "best" / ("step-" + std::to_string(finished.best_step)) / "adapter_model.safetensors"));
    }

    // The least change of early stopping says when to end, not which step is best.
    void the_best_step_is_that_of_the_lowest_loss_whatever_counts_as_improvement() {
        auto recipe = tiny_recipe();
        recipe.train.epochs = 4;
        recipe.train.warmup = 0;
        recipe.evaluate.every = 2;
        for (const int patience : {0, 3}) {
            recipe.early_stopping.patience = patience;
            recipe.early_stopping.min_delta = 5;
            const auto outcome = run_recipe(recipe, fresh());
            const auto& finished = std::get<Finished>(outcome.last);
            double best = 1e9;
            for (const auto& e : outcome.all<Evaluated>())
                if (e.step > 0) best = std::min(best, e.loss);
            QCOMPARE(finished.metrics.at("validation_loss"), best);
            QCOMPARE(QString::fromStdString(finished.reason), patience > 0 ? QString("early_stopping") : QString("completed"));
            if (patience > 0) QCOMPARE(finished.steps, std::int64_t{8});  // the first counts, three do not
        }
    }

    void a_question_longer_than_the_context_is_not_asked_and_a_row_without_its_answer_is_told_of() {
        auto recipe = tiny_recipe();
        const auto rows = fs::path(folder_.path().toStdString()) / "long.jsonl";
        std::ofstream(rows) << Json{{"prompt", std::string(2000, 'x')}, {"completion", "no"}}.dump() << "\n"
                            << Json{{"prompt", "What is number 3?"}, {"completion", "It is 3 of course."}}.dump() << "\n";
        recipe.data.validation = rows.string();
        recipe.evaluate.samples = 2;
        const auto outcome = run_recipe(recipe, fresh());
        QCOMPARE(QString::fromStdString(outcome.reason()), QString("completed"));
        QCOMPARE(outcome.all<Evaluated>().back().samples.size(), std::size_t{1});
        bool told = false;
        for (const auto& notice : outcome.all<Notice>()) told = told || notice.message.starts_with("1 validation row is left out");
        QVERIFY(told);
    }

    void a_run_that_was_refused_leaves_its_folder_to_the_next() {
        auto recipe = tiny_recipe();
        const auto folder = fresh();
        recipe.train.warmup = 1000;
        QCOMPARE(QString::fromStdString(run_recipe(recipe, folder).reason()).left(36), QString("failed: recipe.invalid: train.warmup"));
        recipe.train.warmup = 0.1;
        QCOMPARE(QString::fromStdString(run_recipe(recipe, folder).reason()), QString("completed"));
        int begun = 0;
        for (const auto& event : read_events(folder / "events.jsonl")) begun += std::holds_alternative<Finished>(event) || std::holds_alternative<Failed>(event);
        QCOMPARE(begun, 1);
        QCOMPARE(QString::fromStdString(run_recipe(recipe, folder).reason()).left(18), QString("failed: run.folder"));
    }

    void numbers_that_are_none_change_nothing_and_end_the_run() {
        auto recipe = tiny_recipe();
        const auto model = fresh();
        fs::copy(recipe.model, model);
        formats::SafetensorsFile source(model / "model.safetensors");
        std::vector<formats::TensorView> tensors(source.tensors().begin(), source.tensors().end());
        const std::vector<float> huge(32, 3e38f);  // finite, but no logit will be
        for (auto& tensor : tensors)
            if (tensor.name == "model.norm.weight") tensor.data = std::as_bytes(std::span(huge));
        formats::write_safetensors(model / "model.safetensors", tensors);
        recipe.model = model.string();
        recipe.train.epochs = 20;
        const auto outcome = run_recipe(recipe, fresh());
        QCOMPARE(QString::fromStdString(outcome.reason()).left(23), QString("failed: train.diverged:"));
        int skipped = 0;
        for (const auto& step : outcome.all<StepDone>()) skipped += step.skipped;
        QCOMPARE(skipped, 20);
        for (const auto& e : outcome.all<Evaluated>()) QVERIFY(!e.best || std::isfinite(e.loss));
    }

    void pausing_and_stopping_answer_within_a_second() {
        auto recipe = tiny_recipe();
        recipe.train.epochs = 1000;
        QElapsedTimer asked;
        const auto outcome = run_recipe(recipe, fresh(), false, [&](const Event& event, Control& control) {
            if (auto* step = std::get_if<StepDone>(&event); step && step->step == 3) {
                control.stop();
                asked.start();
            }
        });
        QVERIFY(asked.elapsed() < 1000);
        QCOMPARE(QString::fromStdString(outcome.reason()), QString("stopped"));
        const auto loading = run_recipe(recipe, fresh(), false, [&](const Event& event, Control& control) {
            if (std::holds_alternative<Progressed>(event)) control.stop();
        });
        QCOMPARE(QString::fromStdString(loading.reason()), QString("stopped"));
        QVERIFY(loading.losses.empty());
    }

    void what_cannot_be_trained_on_is_named_data() {
        QTest::addColumn<QByteArray>("content");
        QTest::addColumn<QString>("says");
        QTest::newRow("broken row 17") << QByteArray("{\"prompt\": \"a\", \"completion\": \"b\"}\n").repeated(16) + "{\"prompt\": oops}\n" << "17";
        QTest::newRow("empty") << QByteArray() << "data.jsonl";
        QTest::newRow("no answers") << QByteArray("{\"prompt\": \"a\", \"completion\": \"\"}\n").repeated(9) << "0 filled rows";
    }
    void what_cannot_be_trained_on_is_named() {
        QFETCH(QByteArray, content);
        QFETCH(QString, says);
        QTemporaryDir own;
        auto recipe = tiny_recipe();
        recipe.data.train = own.path().toStdString() + "/data.jsonl";
        std::ofstream(recipe.data.train) << content.toStdString();
        const auto outcome = run_recipe(recipe, fresh());
        QVERIFY(std::holds_alternative<Failed>(outcome.last));
        const auto message = QString::fromStdString(std::get<Failed>(outcome.last).message);
        QVERIFY2(message.contains(says), qPrintable(message));
    }

    void missing_and_unwritable_places_are_named() {
        auto recipe = tiny_recipe();
        recipe.data.train = "/nowhere/data.jsonl";
        QVERIFY(QString::fromStdString(run_recipe(recipe, fresh()).reason()).contains("/nowhere/data.jsonl"));
        recipe = tiny_recipe();
        QVERIFY(QString::fromStdString(run_recipe(recipe, "/proc/run").reason()).contains("/proc/run"));
        const auto used = fresh();
        run_recipe(tiny_recipe(), used, false, [](const Event& event, Control& control) {
            if (std::holds_alternative<StepDone>(event)) control.stop();
        });
        QVERIFY(QString::fromStdString(run_recipe(tiny_recipe(), used).reason()).contains("run.folder"));
    }

    void a_write_that_fails_leaves_the_older_checkpoint() {
        auto recipe = tiny_recipe();
        const auto folder = fresh();
        bool full = false;
        set_io_fault([&](std::string_view operation, const fs::path& path) {
            return full && operation == "write" && path.string().find("checkpoints") != std::string::npos ? ENOSPC : 0;
        });
        const auto outcome = run_recipe(recipe, folder, false, [&](const Event& event, Control&) {
            if (auto* step = std::get_if<StepDone>(&event); step && step->step == 6) full = true;
        });
        set_io_fault(nullptr);
        QVERIFY2(outcome.reason().find("file.io") != std::string::npos, outcome.reason().c_str());
        const auto resumed = run_recipe(recipe, folder, true);
        QCOMPARE(QString::fromStdString(resumed.reason()), QString("completed"));
        QCOMPARE(resumed.losses.begin()->first, 5);
    }
};

QTEST_GUILESS_MAIN(TrainerTest)
#include "trainer_test.moc"
