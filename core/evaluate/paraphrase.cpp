#include "core/evaluate/paraphrase.h"

#include <torch/torch.h>

#include <fstream>
#include <numeric>
#include <set>

#include "core/base/error.h"
#include "core/base/home.h"
#include "core/base/random.h"
#include "core/data/augment.h"
#include "core/data/fingerprint.h"
#include "core/evaluate/device.h"
#include "core/evaluate/loaded_model.h"
#include "core/hub/catalogue.h"
#include "core/memory/meters.h"
#include "core/nn/functions/poll.h"

namespace qlora::evaluate {

namespace {

constexpr std::int64_t sample_size = 128;      // training texts that similarity is measured against
constexpr std::size_t longest_source = 160;    // tokens
constexpr std::size_t tokens_at_once = 512;    // whose states of all layers are held
constexpr std::int64_t tries_each = 6;         // for every paraphrase wanted
constexpr double temperature = 0.6, top_p = 0.95;
constexpr const char* version = "3";           // of all that decides what is written

struct Shot {
    const char *text, *reworded;
};
// As a text to go on with: models write on in the manner they read, and small ones that were tuned to answer would answer a
// question rather than say it differently.
constexpr const char* introduction = "Each sentence is followed by another sentence that says the same in other words.\n\n";
constexpr const char *text_label = "Sentence:", *reworded_label = "Same meaning:";
constexpr Shot shots[] = {
    {"How do I change the address on my account?", "What do I have to do to update my account's address?"},
    {"The service was slow, but the food made up for it.", "We waited long to be served, yet the meal was worth it."},
    {"Can I pay by card in your shop?", "Does your shop accept card payments?"},
    {"I have not received my order yet, please check.", "My order still has not arrived, could you look into it?"},
    {"The film is a joy from start to finish.", "From beginning to end, this movie is a pleasure."},
    {"What happens if I miss a payment?", "If a payment is late, what are the consequences?"},
};

class Writer {
  public:
    Writer(const recipe::Recipe& recipe, const std::vector<std::string>& sample, const std::string& device, int threads, Control& control, const Progress& progress)
        : augment_(recipe.data.augment), seed_(recipe.train.seed), control_(control), sample_(sample) {
        LoadOptions load = LoadOptions::of(recipe);
        if (!augment_.paraphraser.empty()) {
            load.model = augment_.paraphraser;
            load.precision = recipe::Precision::native;
        }
        load.device = device;
        load.threads = threads;
        model_ = open_model(load);
        const nn::ModelConfig& config = model_->files->config();
        if (!config.causal || config.head.kind == nn::HeadConfig::Kind::classifier)
            throw input_error("augment.paraphraser", augment_.paraphraser.empty() ? "data.augment.paraphraser" : load.model,
                              "expected a model that writes text, got one that only reads",
                              "Name a GPT, LLaMA or T5 kind of model in data.augment.paraphraser, best one tuned to follow instructions.");
        load_weights(*model_, load, {}, control, progress);
        poll_.emplace([&] { control.check(); });
        measure_sample(progress);
        if (model_->network.config.encoder_decoder()) return;
        // What all prompts begin with.
        const auto one = prompt_for("a"), other = prompt_for("The");
        beginning_.assign(one.begin(), std::ranges::mismatch(one, other).in1);
    }
    ~Writer() {
        model_.reset();
        memory::give_back();
    }
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;

    // `tell` is called before each try.
    std::vector<data::Paraphrase> write(const std::string& source, const std::function<void()>& tell) {
        std::vector<data::Paraphrase> written;
        const auto tokens = model_->tokenizer->encode(source, {.add_special = false, .parse_special = false}).ids.size();
        const auto prompt = prompt_for(source);
        const auto most = static_cast<std::int64_t>(2 * tokens + 8), room = config().token_limit() - static_cast<std::int64_t>(prompt.size());
        if (tokens == 0 || tokens > longest_source || most > room) return written;
        const torch::Tensor vector = vector_of(source);
        begin_anew();
        std::int64_t kept = 0;
        for (std::int64_t attempt = 0; attempt < tries_each * augment_.paraphrases && kept < augment_.paraphrases; ++attempt) {
            tell();
            data::Paraphrase one{data::tidy_paraphrase(attempted(source, prompt, most, attempt)), 0, {}};
            one.refused = data::refuse_by_words(source, one.text, written);
            if (one.refused.empty()) judge(source, vector, one);
            kept += one.refused.empty();
            written.push_back(std::move(one));
        }
        return written;
    }

  private:
    const nn::ModelConfig& config() const { return model_->network.config; }

    // The cache holds the common beginning of all prompts, computed once and by itself, so that no text's numbers follow from the
    // text before it.
    void begin_anew() {
        if (beginning_.empty()) return;
        if (cache_.ids.size() < beginning_.size()) {
            cache_ = {};
            model_->network.next_logits(beginning_, cache_);
        }
        cache_.ids.resize(beginning_.size());
        cache_.length = static_cast<std::int64_t>(beginning_.size());
    }

    std::vector<std::int32_t> prompt_for(const std::string& source) const {
        const auto& tokenizer = *model_->tokenizer;
        if (config().encoder_decoder()) return tokenizer.encode("paraphrase: " + source, {.parse_special = false}).ids;
        std::string text = introduction;
        for (const Shot& shot : shots) text += std::string(text_label) + " " + shot.text + "\n" + reworded_label + " " + shot.reworded + "\n\n";
        return tokenizer.encode(text + text_label + " " + source + "\n" + reworded_label, {.parse_special = false}).ids;
    }

    std::string attempted(const std::string& source, const std::vector<std::int32_t>& prompt, std::int64_t most, std::int64_t attempt) {
        // The seed is the text's own.
        const auto hash = data::detail::murmur3(std::as_bytes(std::span(source)), {seed_, static_cast<std::uint64_t>(attempt)});
        std::string text;
        tokenizer::TextStream pieces(*model_->tokenizer, true);
        nn::generate(model_->network, prompt, most, model_->stop_ids, {temperature, 0, top_p, hash.low}, control_,
                     [&](std::int32_t id) {
                         text += pieces.push(id);
                         return !data::is_written(text);
                     },
                     &cache_);
        return text + pieces.finish();
    }

    std::vector<std::int32_t> read(const std::string& text) const {
        auto ids = model_->tokenizer->encode(text, {.parse_special = false}).ids;
        if (ids.empty()) ids = {0};
        if (ids.size() > longest_source) ids.resize(longest_source);
        return ids;
    }

    // Of each text [layers + 1, hidden]: the mean over its tokens. Several texts go through the model at once, each by itself.
    std::vector<torch::Tensor> states_of(std::span<const std::string> texts, const std::function<void(std::size_t)>& tell = {}) const {
        torch::NoGradGuard no_grad;
        memory::TagScope scope(MemoryTag::activations);
        std::vector<torch::Tensor> means;
        while (means.size() < texts.size()) {
            if (tell) tell(means.size());
            data::Batch batch;
            batch.starts = {0};
            do {
                const auto ids = read(texts[means.size() + batch.starts.size() - 1]);
                batch.ids.insert(batch.ids.end(), ids.begin(), ids.end());
                for (std::size_t i = 0; i < ids.size(); ++i) batch.positions.push_back(static_cast<std::int32_t>(i));
                batch.starts.push_back(static_cast<std::int32_t>(batch.ids.size()));
                if (config().encoder_decoder()) {  // whose decoder is not asked for anything
                    if (batch.answer_starts.empty()) batch.answer_starts = {0};
                    batch.targets.push_back(config().decoder_start);
                    batch.answer_starts.push_back(static_cast<std::int32_t>(batch.targets.size()));
                }
            } while (batch.ids.size() < tokens_at_once && means.size() + batch.starts.size() - 1 < texts.size());
            nn::States states;
            const torch::Tensor last = model_->network.hidden(batch, {}, &states);
            auto& layers = config().encoder_decoder() ? states.encoder : states.stack;
            if (!config().encoder_decoder()) layers.push_back(last);
            for (std::size_t row = 0; row + 1 < batch.starts.size(); ++row) {
                std::vector<torch::Tensor> mean;
                for (const auto& layer : layers) mean.push_back(layer.slice(0, batch.starts[row], batch.starts[row + 1]).to(torch::kFloat32).mean(0).cpu());
                means.push_back(torch::stack(mean));
            }
        }
        return means;
    }
    torch::Tensor vector_of(const std::string& text) const {
        const torch::Tensor standard = ((states_of({&text, 1})[0] - mean_) / deviation_).flatten();
        return standard / standard.norm().clamp_min(1e-12);
    }

    void measure_sample(const Progress& progress) {
        const auto states = states_of(sample_, [&](std::size_t done) {
            if (progress) progress("Reading what is to be paraphrased", static_cast<double>(done), static_cast<double>(sample_.size()));
        });
        const torch::Tensor all = torch::stack(states);  // [n, layers + 1, hidden]
        // Of fewer texts there is nothing in common to take away.
        const bool many = sample_.size() > 2;
        mean_ = many ? all.mean(0) : torch::zeros_like(all[0]);
        deviation_ = many ? all.std(0, false) + 1e-6 : torch::ones_like(all[0]);
        vectors_ = ((all - mean_) / deviation_).flatten(1);
        vectors_ = vectors_ / vectors_.norm(2, 1, true).clamp_min(1e-12);
    }

    void judge(const std::string& source, const torch::Tensor& vector, data::Paraphrase& one) const {
        torch::NoGradGuard no_grad;
        const torch::Tensor written = vector_of(one.text);
        one.similarity = written.dot(vector).item<double>();
        if (!(one.similarity >= augment_.similarity)) {
            one.refused = "strays from the text";
            return;
        }
        const torch::Tensor others = vectors_.mv(written);
        for (std::int64_t i = 0; i < others.numel(); ++i)
            if (others[i].item<double>() > one.similarity && sample_[static_cast<std::size_t>(i)] != source) {
                one.refused = "nearer to another row";
                return;
            }
    }

    recipe::Augment augment_;
    std::uint64_t seed_;
    Control& control_;
    std::vector<std::string> sample_;
    std::unique_ptr<LoadedModel> model_;
    std::optional<nn::PollScope> poll_;
    std::vector<std::int32_t> beginning_;
    nn::KeyValueCache cache_;
    torch::Tensor mean_, deviation_, vectors_;  // [layers + 1, hidden] twice, [n, (layers + 1) * hidden]
};

std::vector<std::string> texts_of(const RunData& data, std::span<const data::RowIndex> rows) {
    std::vector<std::string> texts;
    std::set<std::string> seen;
    for (const data::RowIndex row : rows) {
        const auto example = data::read_example(*data.train.table, row, data.roles);
        if (!example) continue;
        for (std::string& text : data::read_texts(*example))
            if (seen.insert(text).second) texts.push_back(std::move(text));
    }
    return texts;
}

// The file that keeps what is written under these conditions.
std::filesystem::path file_of(const recipe::Recipe& recipe, const std::vector<std::string>& sample, const std::string& device) {
    const recipe::Augment& augment = recipe.data.augment;
    const auto model = hub::resolve_model(augment.paraphraser.empty() ? recipe.model : augment.paraphraser);
    std::string conditions = model.string() + "\n" + version;
    const auto add_file = [&](const std::filesystem::path& path) {
        conditions += "\n" + path.filename().string() + " " + std::to_string(std::filesystem::file_size(path)) + " " +
                      std::to_string(std::filesystem::last_write_time(path).time_since_epoch().count());
    };
    if (std::filesystem::is_regular_file(model)) add_file(model);
    else {
        std::set<std::filesystem::path> files;
        for (const auto& entry : std::filesystem::directory_iterator(model))
            if (entry.is_regular_file()) files.insert(entry.path());
        std::ranges::for_each(files, add_file);
    }
    for (const std::string& text : sample) conditions += "\n" + text;
    if (augment.paraphraser.empty())
        conditions += "\n" + std::string(recipe::name(recipe.precision)) + std::to_string(recipe.quantization_block) + std::to_string(recipe.double_quantization);
    const int gpu = gpu_index(device);
    conditions += "\n" + compute_type(recipe.compute, nullptr, gpu) + (gpu < 0 ? " cpu" : " gpu") + "\n" + std::to_string(augment.paraphrases) + "\n" + Json(augment.similarity).dump();
    const auto hash = data::detail::murmur3(std::as_bytes(std::span(conditions)), {recipe.train.seed, 0});
    return cache_home() / "paraphrases" / (data::detail::hex(hash) + ".jsonl");
}

// The texts of rows, what is known of them, and where that is kept.
struct Task {
    std::vector<std::string> sample, missing;
    std::filesystem::path file;
    std::shared_ptr<data::Paraphrases> known = std::make_shared<data::Paraphrases>();

    Task(const recipe::Recipe& recipe, const RunData& data, std::span<const data::RowIndex> rows, const std::string& device)
        : sample(texts_of(data, spread(data.train.rows, sample_size))), file(file_of(recipe, sample, device)) {
        const data::Paraphrases kept = data::Paraphrases::read(file);
        for (std::string& text : texts_of(data, rows)) {
            const auto written = kept.of(text);
            if (kept.knows(text)) known->add(text, {written.begin(), written.end()});
            else missing.push_back(std::move(text));
        }
    }
};

}  // namespace

std::shared_ptr<const data::Paraphrases> known_paraphrases(const recipe::Recipe& recipe, const RunData& data, std::span<const data::RowIndex> rows,
                                                          const std::string& device) {
    return Task(recipe, data, rows, device).known;
}

std::shared_ptr<const data::Paraphrases> paraphrase(const recipe::Recipe& recipe, const RunData& data, std::span<const data::RowIndex> rows,
                                                    const std::string& device, int threads, Control& control, const Progress& progress) {
    data::Augmenter(recipe.data.augment, recipe.train.seed, data.roles);  // refuses what cannot be augmented before anything is written
    Task task(recipe, data, rows, device);
    if (task.missing.empty()) return task.known;
    if (task.sample.empty()) task.sample = task.missing;
    Writer writer(recipe, task.sample, device, threads, control, progress);
    std::error_code ignored;  // where it cannot be kept it is written anew
    std::filesystem::create_directories(task.file.parent_path(), ignored);
    std::ofstream file(task.file, std::ios::app | std::ios::binary);
    for (std::size_t i = 0; i < task.missing.size(); ++i) {
        auto written = writer.write(task.missing[i], [&] {
            if (progress) progress("Writing paraphrases", static_cast<double>(i), static_cast<double>(task.missing.size()));
        });
        file << data::Paraphrases::line(task.missing[i], written) << std::flush;
        task.known->add(task.missing[i], std::move(written));
    }
    return task.known;
}

}  // namespace qlora::evaluate
