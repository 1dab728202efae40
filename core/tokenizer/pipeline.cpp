#include "core/tokenizer/pipeline.h"

#include <algorithm>

#include "core/tokenizer/chat_template.h"

namespace qlora::tokenizer {

std::unique_ptr<Model::Session> SessionPool::take(const Model& model, bool literal) const {
    {
        std::lock_guard lock(mutex_);
        auto& idle = idle_[literal];
        if (!idle.empty()) {
            auto session = std::move(idle.back());
            idle.pop_back();
            return session;
        }
    }
    return model.session(literal);
}

void SessionPool::give_back(std::unique_ptr<Model::Session> session, bool literal) const {
    std::lock_guard lock(mutex_);
    idle_[literal].push_back(std::move(session));
}

Pipeline::Pipeline() = default;
Pipeline::~Pipeline() = default;

std::optional<std::int32_t> Pipeline::find(std::string_view spelling) const {
    if (const AddedToken* token = added.find(spelling)) return token->id;
    return model->vocabulary().find(spelling);
}

const std::string& Pipeline::token(std::int32_t id) const {
    if (const AddedToken* token = added.find(id)) return token->content;
    return model->vocabulary().token(id);
}

std::int32_t Pipeline::vocabulary_size() const {
    std::int32_t size = model->vocabulary().size();
    for (const AddedToken& token : added.list()) size = std::max(size, token.id + 1);
    return size;
}

std::optional<std::int32_t> Pipeline::named(std::string_view name) const {
    for (const auto& [key, spelling] : named_tokens)
        if (key == name) return find(spelling);
    return std::nullopt;
}

void Pipeline::add_special(AddedToken token) {
    token.special = true;
    token.id = find(token.content).value_or(vocabulary_size());
    added.add(std::move(token));
}

void Pipeline::seal() {
    added.seal(normalizer.get());
    std::vector<std::int32_t> special;
    for (const AddedToken& token : added.list())
        if (token.special) special.push_back(token.id);
    model->set_special(special);
}

}  // namespace qlora::tokenizer
