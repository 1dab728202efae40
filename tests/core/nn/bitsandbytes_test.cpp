// Checkpoints of bitsandbytes against the logits of their dequantized weights (tests/golden/bitsandbytes_models.py).
#include "tests/torch_tests.h"

#include <cstring>
#include <map>

#include "core/formats/safetensors.h"
#include "core/nn/bitsandbytes.h"
#include "core/nn/load.h"
#include "core/nn/model_info.h"

using namespace qlora;
using namespace qlora::nn;
using recipe::Precision;
using torch::Tensor;
namespace fs = std::filesystem;

namespace {

std::string checkpoint(const std::string& name) { return golden("bitsandbytes/") + name; }

Model load_as(const fs::path& path, Precision precision) {
    Control control;
    return load(ModelFiles::open(path), {precision, {}}, control);
}

Tensor read(const std::string& name, const char* tensor) {
    formats::SafetensorsFile file(checkpoint(name) + "/expected.safetensors");
    const auto& view = file.at(tensor);
    return torch::from_blob(const_cast<std::byte*>(view.data.data()), view.shape, view.dtype == formats::DType::i64 ? torch::kInt64 : torch::kFloat32)
        .clone();
}

double difference(const Model& model, const std::string& name) {
    const Tensor ids = read(name, "ids"), expected = read(name, "logits");
    const auto* first = ids.data_ptr<std::int64_t>();
    const Tensor logits = model.logits(std::vector<std::int32_t>(first, first + ids.numel()));
    return ((logits - expected).abs().max() / expected.abs().max()).item<double>();
}

const Linear& find(const Model& model, const std::string& name) {
    const Linear* found = nullptr;
    model.for_each_linear([&](const Linear& layer) {
        if (layer.name == name) found = &layer;
    });
    if (found == nullptr) throw std::runtime_error("no layer " + name);
    return *found;
}

// A checkpoint whose tensors and configuration a test changes.
class Copy {
  public:
    explicit Copy(const std::string& name) : file_(checkpoint(name) + "/model.safetensors") {
        fs::create_directory(path());
        fs::copy(checkpoint(name) + "/config.json", path());
        for (const auto& view : file_.tensors()) tensors_[view.name] = {view, {view.data.begin(), view.data.end()}};
    }
    fs::path path() const { return fs::path(folder_.path().toStdString()) / "model"; }
    void remove(const std::string& name) { tensors_.erase(name); }
    void set(const std::string& name, formats::DType dtype, std::vector<std::int64_t> shape, std::string bytes) {
        Entry& entry = tensors_[name];
        entry.view.name = name;
        entry.view.dtype = dtype;
        entry.view.shape = std::move(shape);
        entry.bytes.assign(reinterpret_cast<const std::byte*>(bytes.data()), reinterpret_cast<const std::byte*>(bytes.data() + bytes.size()));
    }
    void set_float(const std::string& name, std::size_t index, float value) {
        std::memcpy(tensors_.at(name).bytes.data() + index * sizeof(float), &value, sizeof(float));
    }
    void flip(const std::string& name) { tensors_.at(name).bytes.at(0) ^= std::byte{0xFF}; }
    // In the JSON text beside a weight.
    void set_state(const std::string& name, const std::string& from, const std::string& to) {
        auto& bytes = tensors_.at(name).bytes;
        std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        const auto at = text.find(from);
        if (at == std::string::npos) throw std::runtime_error("no " + from + " in " + text);
        text.replace(at, from.size(), to);
        const auto size = static_cast<std::int64_t>(text.size());
        set(name, formats::DType::u8, {size}, text);
    }
    void set_config(const std::function<void(Json&)>& edit) const {
        Json json = read_json_file(path() / "config.json");
        edit(json);
        write_atomically(path() / "config.json", json.dump());
    }
    void write() {
        std::vector<formats::TensorView> views;
        for (auto& [name, entry] : tensors_) {
            entry.view.data = entry.bytes;
            views.push_back(entry.view);
        }
        formats::write_safetensors(path() / "model.safetensors", views, {{"format", "pt"}});
    }

  private:
    struct Entry {
        formats::TensorView view;
        std::vector<std::byte> bytes;
    };
    QTemporaryDir folder_;
    formats::SafetensorsFile file_;
    std::map<std::string, Entry> tensors_;
};

const std::string layer_name = "model.layers.1.mlp.down_proj";

}  // namespace

class BitsAndBytesTest : public QObject {
    Q_OBJECT

  private slots:
    void logits_equal_those_of_the_dequantized_weights_data() {
        QTest::addColumn<QString>("name");
        QTest::addColumn<int>("form");
        QTest::addColumn<QString>("quantization");
        auto row = [](const char* name, Precision form, const char* quantization) { QTest::newRow(name) << name << int(form) << quantization; };
        row("nf4", Precision::nf4, "bitsandbytes nf4");
        row("nf4_double", Precision::nf4, "bitsandbytes nf4, double quantization");
        row("nf4_double_32", Precision::nf4, "bitsandbytes nf4, double quantization");
        row("nf4_as_bf16", Precision::nf4, "bitsandbytes nf4");
        row("nf4_head", Precision::nf4, "bitsandbytes nf4");
        row("nf4_gpt2", Precision::nf4, "bitsandbytes nf4, double quantization");
        row("fp4_256", Precision::fp4, "bitsandbytes fp4");
        row("fp4_double", Precision::fp4, "bitsandbytes fp4, double quantization");
        row("int8", Precision::int8, "bitsandbytes int8");
    }
    void logits_equal_those_of_the_dequantized_weights() {
        QFETCH(QString, name);
        QFETCH(int, form);
        const std::string folder = name.toStdString();
        for (const Precision precision : {Precision::native, static_cast<Precision>(form), Precision::fp32}) {
            const double got = difference(load_as(checkpoint(folder), precision), folder);
            QVERIFY2(got < 2e-4, qPrintable(QString::number(got)));
        }
        // Negative control: quantized anew in another form.
        const auto other = static_cast<Precision>(form) == Precision::int4 ? Precision::nf4 : Precision::int4;
        QVERIFY(difference(load_as(checkpoint(folder), other), folder) > 2e-3);
    }

    void the_packed_bytes_are_those_of_the_file_data() { logits_equal_those_of_the_dequantized_weights_data(); }
    void the_packed_bytes_are_those_of_the_file() {
        QFETCH(QString, name);
        QFETCH(int, form);
        const std::string folder = name.toStdString();
        const formats::SafetensorsFile file(checkpoint(folder) + "/model.safetensors");
        int compared = 0;
        for (const Precision precision : {Precision::native, static_cast<Precision>(form)}) {
            const Model model = load_as(checkpoint(folder), precision);
            model.for_each_linear([&](const Linear& layer) {
                const bool int8 = file.find(layer.name + ".SCB") != nullptr;
                if (!int8 && file.find(layer.name + ".weight.absmax") == nullptr) return;
                QCOMPARE(layer.weight.form(), std::string(recipe::name(static_cast<Precision>(form))));
                for (const auto& [part, tensor] : layer.weight.storage()) {
                    if (part == "offset") continue;
                    const std::string stored = layer.name + (part == "weight" ? ".weight" : int8 ? ".SCB" : ".weight." + part);
                    const auto bytes = file.at(stored).data;
                    QCOMPARE(tensor.nbytes(), bytes.size());
                    QVERIFY2(std::memcmp(tensor.data_ptr(), bytes.data(), bytes.size()) == 0, stored.c_str());
                    ++compared;
                }
            });
        }
        QVERIFY(compared >= 2 * 2 * 8);
        Copy changed(folder);
        const std::string weight = folder == "nf4_gpt2" ? "transformer.h.1.mlp.c_fc.weight" : "model.layers.1.mlp.up_proj.weight";
        changed.flip(weight);
        changed.write();
        QVERIFY(difference(load_as(changed.path(), Precision::native), folder) > 1e-5);
    }

    void layers_stored_plainly_stay_plain() {
        for (const Precision precision : {Precision::native, Precision::nf4}) {
            const Model model = load_as(checkpoint("nf4_head"), precision);
            QCOMPARE(find(model, "model.layers.0.mlp.down_proj").weight.form(), std::string("fp32"));
            QCOMPARE(find(model, "model.layers.0.mlp.up_proj").weight.form(), std::string("nf4"));
            QCOMPARE(model.head.weight.form(), std::string("nf4"));
        }
        QCOMPARE(load_as(checkpoint("nf4"), Precision::nf4).head.weight.form(), std::string("fp32"));
        QCOMPARE(find(load_as(checkpoint("nf4_head"), Precision::int8), "model.layers.0.mlp.down_proj").weight.form(), std::string("int8"));
    }

    void another_precision_quantizes_what_the_stored_one_gives() {
        const Model stored = load_as(checkpoint("fp4_double"), Precision::native), model = load_as(checkpoint("fp4_double"), Precision::nf4);
        const auto expected = quant::Weight::quantized(find(stored, layer_name).weight.dequantized(), Precision::nf4);
        QVERIFY(torch::equal(find(model, layer_name).weight.dequantized(), expected.dequantized()));
        QVERIFY(!torch::equal(expected.dequantized(), find(stored, layer_name).weight.dequantized()));
    }

    void quantizing_anew_is_said() {
        const std::string form = bitsandbytes_form(ModelFiles::open(checkpoint("fp4_double")));
        QVERIFY(requantization_notice(form, Precision::nf4).find(form) != std::string::npos);
        QVERIFY(requantization_notice(form, Precision::fp4).empty());
        QVERIFY(requantization_notice(form, Precision::native).empty());
        QVERIFY(requantization_notice("", Precision::nf4).empty());
        QVERIFY(requantization_notice("GGUF Q4_1", Precision::nf4).empty());
    }

    void inspection_counts_elements_not_bytes_data() { logits_equal_those_of_the_dequantized_weights_data(); }
    void inspection_counts_elements_not_bytes() {
        QFETCH(QString, name);
        QFETCH(QString, quantization);
        const ModelInfo info = inspect(checkpoint(name.toStdString()));
        QCOMPARE(QString::fromStdString(info.quantization), quantization);
        QCOMPARE(info.parameters, load_as(checkpoint(name.toStdString()), Precision::native).parameters());
        QCOMPARE(info.dtype, quantization.toStdString().substr(13, quantization.indexOf(',') < 0 ? std::string::npos : 3));
        QVERIFY(!info.tensor_types.contains("U8"));
    }

    void a_broken_checkpoint_is_named_data() {
        QTest::addColumn<QString>("from");
        QTest::addColumn<QString>("tensor");
        QTest::addColumn<QString>("code");
        QTest::addColumn<std::function<void(Copy&)>>("edit");
        const std::string weight = layer_name + ".weight", state = weight + ".quant_state.bitsandbytes__nf4";
        using formats::DType;
        auto row = [](const char* what, const char* from, const std::string& tensor, const char* code, std::function<void(Copy&)> edit) {
            QTest::newRow(what) << from << QString::fromStdString(tensor) << code << std::move(edit);
        };
        row("other levels", "nf4", weight + ".quant_map", "bitsandbytes.layer", [=](Copy& c) { c.set_float(weight + ".quant_map", 3, -0.4f); });
        row("a level that is NaN", "nf4", weight + ".quant_map", "bitsandbytes.layer", [=](Copy& c) { c.set_float(weight + ".quant_map", 3, NAN); });
        row("other nested levels", "nf4_double", weight + ".nested_quant_map", "bitsandbytes.layer",
            [=](Copy& c) { c.set_float(weight + ".nested_quant_map", 200, 0.5f); });
        row("absmax that is NaN", "nf4", weight, "weight.absmax", [=](Copy& c) { c.set_float(weight + ".absmax", 7, NAN); });
        row("nested absmax that is infinite", "nf4_double", weight, "weight.absmax", [=](Copy& c) { c.set_float(weight + ".nested_absmax", 0, INFINITY); });
        row("scale of a row that is NaN", "int8", weight, "weight.absmax", [=](Copy& c) { c.set_float(layer_name + ".SCB", 1, NAN); });
        row("no absmax", "nf4", weight + ".absmax", "bitsandbytes.layer", [=](Copy& c) { c.remove(weight + ".absmax"); });
        row("too few absmax", "nf4", weight + ".absmax", "bitsandbytes.layer",
            [=](Copy& c) { c.set(weight + ".absmax", DType::f32, {2}, std::string(8, '\0')); });
        row("absmax of another type", "nf4_double", weight + ".absmax", "bitsandbytes.layer",
            [=](Copy& c) { c.set(weight + ".absmax", DType::f32, {160}, std::string(640, '\0')); });
        row("no quant_state", "nf4", weight, "bitsandbytes.layer", [=](Copy& c) { c.remove(state); });
        row("no weight", "nf4", weight, "bitsandbytes.layer", [=](Copy& c) { c.remove(weight); });
        row("no scales of int8", "int8", weight, "bitsandbytes.layer", [=](Copy& c) { c.remove(layer_name + ".SCB"); });
        row("too few packed bytes", "nf4", weight, "weight.size", [=](Copy& c) { c.set(weight, DType::u8, {100, 1}, std::string(100, '\0')); });
        row("another order of int8", "int8", layer_name + ".weight_format", "bitsandbytes.layer",
            [=](Copy& c) { c.set(layer_name + ".weight_format", DType::u8, {}, "\x02"); });
        row("no JSON", "nf4", state, "json.syntax", [=](Copy& c) { c.set(state, DType::u8, {3}, "{\"a"); });
        row("a block that is no power of two", "nf4", state, "json.field", [=](Copy& c) { c.set_state(state, "64,", "96,"); });
        row("a block that is too small", "nf4", state, "json.field", [=](Copy& c) { c.set_state(state, "64,", "16,"); });
        row("a block that does not fit the scales", "nf4", weight + ".absmax", "bitsandbytes.layer", [=](Copy& c) { c.set_state(state, "64,", "128,"); });
        row("a shape of one number", "nf4", state, "json.field", [=](Copy& c) { c.set_state(state, "[64, 160]", "[10240]"); });
        row("a negative shape", "nf4", state, "json.field", [=](Copy& c) { c.set_state(state, "[64, 160]", "[-64, 160]"); });
        row("a transposed shape", "nf4", weight, "tensor.shape", [=](Copy& c) { c.set_state(state, "[64, 160]", "[160, 64]"); });
        row("another type inside", "nf4", state, "json.field", [=](Copy& c) { c.set_state(state, "\"nf4\"", "\"fp4\""); });
        row("another nested block", "nf4_double", state, "json.field", [=](Copy& c) { c.set_state(state, "\"nested_blocksize\": 256", "\"nested_blocksize\": 128"); });
        row("an offset as text", "nf4_double", state, "json.field", [=](Copy& c) { c.set_state(state, "\"nested_offset\": ", "\"nested_offset\": \"\", \"x\": "); });
    }
    void a_broken_checkpoint_is_named() {
        QFETCH(QString, from);
        QFETCH(QString, tensor);
        QFETCH(QString, code);
        QFETCH(std::function<void(Copy&)>, edit);
        Copy copy(from.toStdString());
        copy.write();
        load_as(copy.path(), Precision::native);  // whole before the edit
        edit(copy);
        copy.write();
        try {
            load_as(copy.path(), Precision::native);
            QFAIL("accepted");
        } catch (const Error& error) {
            QCOMPARE(QString::fromStdString(error.code()), code);
            QVERIFY2(QString(error.what()).contains(tensor), error.what());
            QVERIFY2(error.message().find(copy.path().string()) != std::string::npos, error.what());
        }
    }

    void other_methods_are_refused_by_name() {
        Copy copy("nf4");
        copy.write();
        for (const char* method : {"gptq", "awq", "fp8", "compressed-tensors", "hqq"}) {
            copy.set_config([&](Json& json) { json["quantization_config"] = {{"quant_method", method}, {"bits", 4}}; });
            try {
                ModelFiles::open(copy.path());
                QFAIL("accepted");
            } catch (const Error& error) {
                QCOMPARE(error.code(), std::string("model.quantization"));
                QVERIFY2(error.message().find(std::string("\"") + method + "\"") != std::string::npos, error.what());
                QVERIFY(!error.hint().empty());
            }
        }
        copy.set_config([&](Json& json) { json["quantization_config"] = {{"bits", 4}}; });
        QCOMPARE(code_of([&] { ModelFiles::open(copy.path()); }), std::string("json.field"));
        // As transformers wrote it before it named the method.
        copy.set_config([&](Json& json) { json["quantization_config"] = {{"load_in_4bit", true}}; });
        QVERIFY(difference(load_as(copy.path(), Precision::native), "nf4") < 2e-4);
    }

    void a_folder_without_safetensors_says_what_to_open_instead() {
        QTemporaryDir folder;
        const fs::path path = folder.path().toStdString();
        auto refused = [&](const fs::path& model) {
            try {
                ModelFiles::open(model);
                return std::string("accepted");
            } catch (const Error& error) {
                return error.code() + ": " + error.message() + " " + error.hint();
            }
        };
        auto verify = [&](const fs::path& model, const std::string& code, const std::vector<std::string>& parts) {
            const std::string text = refused(model);
            QVERIFY2(text.starts_with(code + ": "), text.c_str());
            for (const std::string& part : parts) QVERIFY2(text.find(part) != std::string::npos, text.c_str());
        };
        verify(path, "model.config", {path.string()});
        for (const char* name : {"pytorch_model.bin", "consolidated.00.pth", "model.pt", "last.ckpt"}) {
            write_atomically(path / name, "PK\x03\x04");
            for (const bool with_config : {false, true}) {
                if (with_config) fs::copy(golden("tiny_llama/plain/config.json"), path);
                verify(path, "file.pickle", {name, "run any code", "safetensors"});
                fs::remove(path / "config.json");
            }
            verify(path / name, "file.pickle", {name, "run any code", "safetensors"});
            fs::remove(path / name);
        }
        write_atomically(path / "training_args.bin", "PK\x03\x04");
        verify(path, "model.config", {path.string()});
        write_atomically(path / "small-q8_0.gguf", "GGUF");
        write_atomically(path / "small-q4_0.gguf", "GGUF");
        verify(path, "model.gguf_folder", {"small-q4_0.gguf, small-q8_0.gguf", (path / "small-q4_0.gguf").string()});
        fs::copy(golden("tiny_llama/plain/config.json"), path);
        verify(path, "model.gguf_folder", {"small-q4_0.gguf, small-q8_0.gguf"});
        fs::copy(golden("tiny_llama/plain/model.safetensors"), path);
        ModelFiles::open(path);
    }
};

QTEST_GUILESS_MAIN(BitsAndBytesTest)
#include "bitsandbytes_test.moc"
