// Whole models quantized after training, and the folders that are written of them.
#include "tests/torch_tests.h"

#include <QTemporaryDir>

#include "core/nn/bitsandbytes.h"
#include "core/nn/load.h"
#include "core/nn/quantization/model_parts.h"
#include "core/nn/quantization/quantize_model.h"
#include "core/nn/quantization/save_model.h"

using namespace qlora;
using namespace qlora::nn;
using recipe::Precision;
using torch::Tensor;
namespace fs = std::filesystem;

namespace {

Model loaded(const fs::path& path, Precision precision = Precision::native) {
    Control control;
    return load(ModelFiles::open(path), {precision, {}}, control);
}

// Sequences of a language that has regularities: each id follows from the one before, mostly.
std::vector<std::vector<std::int32_t>> sequences(std::int64_t vocabulary, int count) {
    std::vector<std::vector<std::int32_t>> all;
    std::uint64_t state = 7;
    for (int i = 0; i < count; ++i) {
        std::vector<std::int32_t> ids{1};
        for (int k = 0; k < 40; ++k) {
            state = state * 6364136223846793005ULL + 1442695040888963407ULL;
            ids.push_back(static_cast<std::int32_t>((state >> 60) < 12 ? (ids.back() * 5 + 3) % vocabulary : static_cast<std::int64_t>(state >> 33) % vocabulary));
        }
        all.push_back(ids);
    }
    return all;
}

double distance(const Tensor& got, const Tensor& wanted) { return ((got - wanted).norm() / wanted.norm()).item<double>(); }

std::vector<QuantizedMatrix> quantized(Model& model, Precision precision, QuantizationMethod method, std::int64_t block = 32, bool nested = false) {
    Control control;
    const auto text = sequences(model.config.vocabulary, 24);
    return quantize_model(model, {precision, method, block, nested}, text, control);
}

}  // namespace

class QuantizationTest : public QObject {
    Q_OBJECT

    static std::vector<std::string> models() {
        return {golden("tiny_llama/plain"), golden("tiny_llama/biased"), golden("families/qwen2"), golden("families/gemma2"), golden("families/gpt2"), golden("families/phi3")};
    }

  private slots:
    void every_matrix_of_the_blocks_is_reported() {
        Model model = loaded(golden("tiny_llama/plain"));
        const auto matrices = quantized(model, Precision::int4, QuantizationMethod::absmax);
        QCOMPARE(matrices.size(), static_cast<std::size_t>(7 * model.config.layers));
        for (const auto& one : matrices) {
            QCOMPARE(one.form, std::string("int4"));
            QVERIFY(one.relative_squared_error > 1e-4 && one.relative_squared_error < 0.03);
            QVERIFY(std::abs(one.signal_to_noise + 10 * std::log10(one.relative_squared_error)) < 1e-9);
            QVERIFY(one.output_error && *one.output_error > 0);
        }
        QVERIFY(matrices[0].name.ends_with("q_proj") && matrices[6].name.ends_with("down_proj"));
        QCOMPARE(model.head.weight.form(), std::string("fp32"));
    }

    void channel_scales_are_folded_exactly_data() {
        QTest::addColumn<QString>("folder");
        for (const auto& folder : models())
            if (fs::exists(folder)) QTest::newRow(fs::path(folder).filename().c_str()) << QString::fromStdString(folder);
    }
    // In fp32 nothing is rounded, so that folding alone must leave the model as it was. int8 rounds little, and is never
    // scaled; what is compared is a model scaled and quantized with the same scales undone.
    void channel_scales_are_folded_exactly() {
        QFETCH(QString, folder);
        const Model before = loaded(folder.toStdString());
        Model model = before;
        const auto matrices = quantized(model, Precision::int4, QuantizationMethod::awq);
        // The model as its matrices are reported: each one's error is over what it is used as, scales divided out.
        const auto ids = sequences(before.config.vocabulary, 1)[0];
        const Tensor wanted = before.logits(ids);
        Model plain = before;
        quantized(plain, Precision::int4, QuantizationMethod::search);
        const double scaled = distance(model.logits(ids), wanted), searched = distance(plain.logits(ids), wanted);
        QVERIFY2(scaled < 1.6 * searched, qPrintable(QString("%1 against %2").arg(scaled).arg(searched)));
        double with = 0, without = 0;
        for (const auto& one : matrices) with += *one.output_error;
        Model again = before;
        for (const auto& one : quantized(again, Precision::int4, QuantizationMethod::search)) without += *one.output_error;
        QVERIFY2(with <= without * 1.02, qPrintable(QString("%1 against %2").arg(with).arg(without)));
    }

    void gptq_gives_outputs_that_err_less() {
        for (const auto precision : {Precision::int4, Precision::int3}) {
            const Model before = loaded(golden("tiny_llama/plain"));
            double fed = 0, plain = 0;
            Model one = before, other = before;
            for (const auto& matrix : quantized(one, precision, QuantizationMethod::gptq)) fed += *matrix.output_error;
            for (const auto& matrix : quantized(other, precision, QuantizationMethod::absmax)) plain += *matrix.output_error;
            QVERIFY2(fed < 0.8 * plain, qPrintable(QString("%1 against %2").arg(fed).arg(plain)));
        }
    }

    void the_base_is_left_as_it_was() {
        const Model before = loaded(golden("tiny_llama/biased"));
        const auto ids = sequences(before.config.vocabulary, 1)[0];
        const Tensor wanted = before.logits(ids);
        Model model = before;
        quantized(model, Precision::int3, QuantizationMethod::awq);
        QVERIFY(!torch::equal(model.logits(ids), wanted));
        QVERIFY(torch::equal(before.logits(ids), wanted));
    }

    void methods_that_look_at_text_refuse_without() {
        Model model = loaded(golden("tiny_llama/plain"));
        Control control;
        for (const auto method : {QuantizationMethod::awq, QuantizationMethod::gptq})
            QCOMPARE(code_of([&] { quantize_model(model, {Precision::int4, method, 64, false}, {}, control); }), std::string("quantize.calibration"));
        control.stop();
        QCOMPARE(code_of([&] { quantize_model(model, {Precision::int4, QuantizationMethod::absmax, 64, false}, {}, control); }), std::string("stopped"));
    }

    void what_is_written_is_what_is_read_data() {
        QTest::addColumn<QString>("folder");
        QTest::addColumn<int>("precision");
        QTest::addColumn<int>("block");
        QTest::addColumn<bool>("nested");
        for (const auto& folder : models()) {
            if (!fs::exists(folder)) continue;
            for (const auto precision : {Precision::fp32, Precision::bf16, Precision::int8, Precision::nf4, Precision::fp4, Precision::int4, Precision::int3})
                for (const int block : {32, 0})
                    for (const bool nested : {false, true}) {
                        const bool blocks = precision >= Precision::nf4;
                        if (!blocks && (block == 0 || nested)) continue;
                        QTest::addRow("%s %s %d %d", fs::path(folder).filename().c_str(), std::string(recipe::name(precision)).c_str(), block, nested)
                            << QString::fromStdString(folder) << int(precision) << block << nested;
                    }
        }
    }
    void what_is_written_is_what_is_read() {
        QFETCH(QString, folder);
        QFETCH(int, precision);
        QFETCH(int, block);
        QFETCH(bool, nested);
        const auto source = ModelFiles::open(folder.toStdString());
        Model model = loaded(folder.toStdString());
        const auto level = static_cast<Precision>(precision);
        quantized(model, level, QuantizationMethod::absmax, block, nested);
        QTemporaryDir out;
        Control control;
        const auto tokenizer = tokenizer::Tokenizer::from_gguf(formats::GgufFile(golden("tokenizer_gguf_llama.gguf")));
        save_model(source, model, *tokenizer, out.path().toStdString(), control);

        const fs::path written = out.path().toStdString();
        const auto ids = sequences(model.config.vocabulary, 1)[0];
        const Tensor wanted = model.logits(ids);
        QVERIFY(torch::equal(loaded(written).logits(ids), wanted));
        // Named, the level is taken as it is stored as well; another is made anew.
        QVERIFY(torch::equal(loaded(written, level).logits(ids), wanted));
        QVERIFY(!torch::equal(loaded(written, level == Precision::int3 ? Precision::int4 : Precision::int3).logits(ids), wanted));
        const std::string form = bitsandbytes_form(ModelFiles::open(written));
        if (level == Precision::fp32 || level == Precision::bf16) QVERIFY(form.empty());
        else if (level == Precision::int8 || (block != 0 && level != Precision::int4 && level != Precision::int3)) QVERIFY(form.starts_with("bitsandbytes"));
        // Rows whose lengths are powers of two are blocks for bitsandbytes too.
        else if (block != 0 || model.config.intermediate == 160) QVERIFY(form.starts_with("qlora-studio"));
    }

    void a_damaged_state_is_refused() {
        const auto source = ModelFiles::open(golden("tiny_llama/plain"));
        Model model = loaded(golden("tiny_llama/plain"));
        quantized(model, Precision::int4, QuantizationMethod::absmax, 0);
        QTemporaryDir out;
        Control control;
        const auto tokenizer = tokenizer::Tokenizer::from_gguf(formats::GgufFile(golden("tokenizer_gguf_llama.gguf")));
        save_model(source, model, *tokenizer, out.path().toStdString(), control);
        const std::string file = out.path().toStdString() + "/model.safetensors";
        std::string bytes = read_file(file);
        const auto at = bytes.find("\"blocksize\":" + std::to_string(model.config.hidden));
        QVERIFY(at != std::string::npos);
        bytes.replace(at, 14, "\"blocksize\":63");
        write_atomically(file, bytes);
        QVERIFY(!code_of([&] { loaded(out.path().toStdString()); }).empty());
    }
};

QTEST_GUILESS_MAIN(QuantizationTest)
#include "quantization_test.moc"
