#include "client/build/builder.h"

#include <unistd.h>

#include <algorithm>

#include "base/file.h"
#include "client/format.h"
#include "client/host.h"
#include "client/image_pull.h"
#include "client/paint.h"
#include "client/program.h"

namespace hutch::client {
namespace {

constexpr const char* kScratch = "scratch";

bool is_shown(const Instruction& one) {
    return makes_files(one) || one.name == "WORKDIR";
}

std::vector<std::string> texts_of(const Json& array) {
    std::vector<std::string> texts;
    for (const Json& text : array) {
        if (text.is_string()) texts.push_back(text.get<std::string>());
    }
    return texts;
}

/// What an image says of itself, as far as a build goes on with it.
ImageConfig config_of(const Json& image) {
    ImageConfig config;
    config.base_user = text_of(image, "user");
    config.base_workdir = text_of(image, "workdir");
    const Json env = object_of(image, "env");
    for (const auto& [name, value] : env.items()) {
        if (value.is_string()) config.set(name, value.get<std::string>());
    }
    const Json labels = object_of(image, "labels");
    for (const auto& [name, value] : labels.items()) {
        if (value.is_string()) config.labels[name] = value.get<std::string>();
    }
    config.entrypoint = texts_of(array_of(image, "entrypoint"));
    config.cmd = texts_of(array_of(image, "cmd"));
    config.ports = texts_of(array_of(image, "ports"));
    return config;
}

Json object_json(const std::vector<Pair>& pairs) {
    Json object = Json::object();
    for (const auto& [name, value] : pairs) object[name] = value;
    return object;
}

}  // namespace

Builder::Builder(const Api& api, Afterwards& afterwards, BuildPlan plan, BuildContext context, Options options)
    : api_(api),
      afterwards_(afterwards),
      plan_(std::move(plan)),
      context_(std::move(context)),
      options_(std::move(options)),
      kit_{api_,     afterwards_,      plan_,
           context_, options_.secrets, [this](const std::string& from) { return files_of(from, stage_); }},
      shop_(api_, afterwards_) {}

void Builder::tell(size_t index, const Instruction& one, bool kept) {
    const BuildStage& stage = plan_.stages[index];
    const std::string named = stage.name.empty() ? "stage " + std::to_string(index) : stage.name;
    const std::string where = plan_.order.size() > 1 ? printable(named) + " " : "";
    constexpr size_t kMostShown = 160;
    std::string text = one.name;
    for (const Flag& flag : one.flags) text += " --" + flag.name + "=" + flag.value;
    text += " " + one.text;
    if (text.size() > kMostShown) text = text.substr(0, kMostShown) + "...";
    (void)write_all(STDERR_FILENO, "[" + where + std::to_string(step_) + "/" + std::to_string(steps_) + "] " +
                                       (kept ? "CACHED " : "") + printable(text) + "\n");
}

void Builder::warn(const Error& sentence) {
    complain(printable(sentence.message));
}

// One that is not here is a registry's, where its name is no name of this host's images.
Result<Builder::Stage> Builder::image(const std::string& name) {
    auto found = api_.get(image_target(name));
    const auto missing = [&found] { return !found.ok() && found.error().kind == ErrorKind::kNotFound; };
    const bool reference = name.find_first_of(":/@") != std::string::npos;
    if (missing() && !reference) {
        auto latest = api_.get(image_target(name + ":latest"));
        if (latest.ok()) found = std::move(latest);
    }
    if (missing() && reference) found = pull_image(api_, name, "");
    const Json image = TRY(std::move(found));
    Digest digest;
    digest.add("image");
    for (const std::string& layer : texts_of(array_of(image, "layers"))) digest.add(layer);
    return Stage{{{.image = text_of(image, "name")}, digest.hex()}, config_of(image)};
}

/// What FROM scratch stands on: an image of nothing but what a box needs.
Result<void> Builder::make_empty_image() {
    const auto there = api_.get(image_target(kScratch));
    if (there.ok() || there.error().kind != ErrorKind::kNotFound) return {};
    (void)write_all(STDERR_FILENO, "hutch: image scratch comes first\n");
    const auto nothing = std::make_shared<std::string>(1024, '\0');
    const BodySource archive = [nothing, sent = false]() mutable -> Result<std::string_view> {
        return std::exchange(sent, true) ? std::string_view() : std::string_view(*nothing);
    };
    TRY(api_.exchange(
        {.method = "PUT", .target = image_target(kScratch), .content_type = "application/x-tar", .source = archive}));
    return {};
}

Result<Builder::Stage> Builder::base_of(const BuildStage& stage) {
    if (stage.base_stage) return made_.at(*stage.base_stage);
    if (stage.base == kScratch) TRY(make_empty_image());
    auto based = image(stage.base);
    if (based.ok()) return based;
    Error error = plan_.file.at(stage.line, based.error());
    error.message += "; --from IMAGE builds on another";
    return error;
}

Result<StageFiles> Builder::files_of(const std::string& from, size_t stage) {
    if (const auto index = plan_.stage_named(from, stage)) return made_.at(*index).made;
    return TRY_IN("--from=" + from, image(from)).made;
}

/// The files after a step: those kept of it, else made now.
Result<void> Builder::advance(const Step& step, StageFiles& at) {
    TRY(shop_.open(at.files));
    for (const std::string& folder : std::exchange(folders_, {}))
        TRY_IN("WORKDIR " + folder, shop_.make_directory(folder));
    if (step.act) TRY(step.act(shop_));
    at.files.snapshot = TRY(kept_->keep(shop_, at.digest));
    if (step.leaves_processes) TRY(shop_.close());
    return {};
}

Result<void> Builder::make_step(size_t index, const Instruction& one, StageWords& words, StageFiles& at) {
    Step step;
    if (one.name == "RUN") {
        step = TRY(run_step(kit_, words, one));
    } else if (makes_files(one)) {
        step = TRY(copy_step(kit_, words, one));
    }
    Digest digest;
    digest.add(at.digest).add(step.digest);
    for (const std::string& folder : folders_) digest.add(folder);
    at.digest = digest.hex();
    const auto kept = kept_->find(at.digest);
    if (step.act) tell(index, one, kept.has_value());
    if (!kept) return advance(step, at);
    TRY(shop_.close());
    folders_.clear();
    at.files.snapshot = *kept;
    return {};
}

Result<Builder::Stage> Builder::make(size_t index) {
    const BuildStage& stage = plan_.stages[index];
    stage_ = index;
    step_ = 1;
    steps_ = 1 + static_cast<size_t>(std::count_if(stage.instructions.begin(), stage.instructions.end(), is_shown));
    tell(index, {.line = stage.line, .name = "FROM", .text = stage.base}, false);
    Stage base = TRY(base_of(stage));
    StageFiles at = base.made;
    StageWords words(plan_, base.config);
    for (const Instruction& one : stage.instructions) {
        if (is_shown(one)) ++step_;
        if (makes_files(one)) {
            const auto made = make_step(index, one, words, at);
            if (!made.ok()) {
                const std::string what = one.name == "RUN" ? "RUN " + printable(one.text.substr(0, 80)) + ": " : "";
                Error error = made.error();
                error.message.insert(0, what);
                return plan_.file.at(one.line, error);
            }
            continue;
        }
        const std::string warning = TRY(words.apply(one));
        if (!warning.empty()) warn(plan_.file.at(one.line, warning));
        if (one.name != "WORKDIR") continue;
        folders_.push_back(words.config().workdir);
        tell(index, one, false);
    }
    if (!folders_.empty()) TRY(make_step(index, {.name = "WORKDIR"}, words, at));
    TRY(shop_.close());
    return Stage{at, words.config()};
}

Result<Json> Builder::commit(const Stage& last) {
    const ImageConfig& config = last.config;
    Json labels = Json::object();
    for (const auto& [name, value] : config.labels) labels[name] = value;
    Json body = {{"from", last.made.files.image},   {"env", object_json(config.env)},
                 {"entrypoint", config.entrypoint}, {"cmd", config.cmd},
                 {"labels", std::move(labels)},     {"ports", config.ports}};
    if (!last.made.files.snapshot.empty()) body["snapshot_id"] = last.made.files.snapshot;
    if (!config.user.empty()) body["user"] = config.user;
    if (!config.workdir.empty()) body["workdir"] = config.workdir;
    return api_.call("POST", image_target(options_.image, "/commit"), body);
}

/// A --build-arg that nothing asks for is a slip of who typed it.
Result<void> Builder::check_arguments() const {
    for (const auto& [name, value] : plan_.given) {
        bool known = plan_.globals.contains(name) || is_proxy_argument(name);
        for (const BuildStage& stage : plan_.stages) {
            for (const Instruction& one : stage.instructions) {
                if (one.name != "ARG" || known) continue;
                for (const std::string& word : split_words(one.text, plan_.file.escape)) {
                    known = known || word.substr(0, word.find('=')) == name;
                }
            }
        }
        if (!known) return invalid("--build-arg: " + plan_.file.name + " has no ARG " + name);
    }
    return {};
}

Result<Json> Builder::run() {
    TRY(check_arguments());
    kept_.emplace(TRY(KeptSteps::load(api_, options_.fresh)));
    for (const size_t index : plan_.order) made_[index] = TRY(make(index));
    const Json image = TRY(commit(made_.at(plan_.target)));
    const auto tidied = kept_->tidy();
    if (!tidied.ok()) warn(Error(tidied.error()).in("the steps of earlier builds"));
    return image;
}

}  // namespace hutch::client
