#include "client/build/plan.h"

#include <sys/utsname.h>

#include <algorithm>

#include "base/text.h"
#include "client/build/words.h"

namespace hutch::client {
namespace {

constexpr size_t kMostStages = 1'000;

std::string architecture() {
    utsname machine{};
    uname(&machine);
    const std::string name = static_cast<const char*>(machine.machine);
    if (name == "x86_64") return "amd64";
    return name == "aarch64" ? "arm64" : name;
}

class Planner {
  public:
    Planner(Containerfile file, std::map<std::string, std::string> given) {
        plan_.file = std::move(file);
        plan_.given = std::move(given);
    }
    Result<BuildPlan> run(const std::string& target, const std::string& base);

  private:
    Result<void> global(const Instruction& one);
    Result<void> begin_stage(const Instruction& one, const std::string& base);
    Result<void> check_platform(const Instruction& one) const;
    Result<void> find_target(const std::string& target);
    Result<void> settle_order();
    [[nodiscard]] Result<std::string> expanded(const Instruction& one, const std::string& text) const;
    [[nodiscard]] std::vector<std::string> sources_of(const Instruction& one) const;

    BuildPlan plan_;
};

Result<std::string> Planner::expanded(const Instruction& one, const std::string& text) const {
    const Lookup lookup = [this](const std::string& name) -> std::optional<std::string> {
        const auto known = plan_.globals.find(name);
        if (known != plan_.globals.end()) return known->second;
        const auto platform = platform_arguments().find(name);
        return platform == platform_arguments().end() ? std::nullopt : std::optional(platform->second);
    };
    auto word = expand(text, lookup, plan_.file.escape);
    if (!word.ok()) return plan_.file.at(one.line, word.error());
    return word;
}

Result<void> Planner::global(const Instruction& one) {
    for (const std::string& word : split_words(one.text, plan_.file.escape)) {
        const size_t equals = std::min(word.find('='), word.size());
        const std::string name = word.substr(0, equals);
        if (!is_variable_name(name)) return plan_.file.at(one.line, "ARG \"" + name + "\" is no name of a variable");
        const auto given = plan_.given.find(name);
        if (given != plan_.given.end()) {
            plan_.globals[name] = given->second;
        } else if (equals < word.size()) {
            plan_.globals[name] = TRY(expanded(one, word.substr(equals + 1)));
        }
    }
    return {};
}

Result<void> Planner::check_platform(const Instruction& one) const {
    const std::string wanted = TRY(expanded(one, one.flag("platform")));
    if (wanted.empty() || wanted == platform_arguments().at("TARGETPLATFORM")) return {};
    return plan_.file.at(one.line, "--platform=" + wanted + " is not what this host is (" +
                                       platform_arguments().at("TARGETPLATFORM") + "); leave it out");
}

Result<void> Planner::begin_stage(const Instruction& one, const std::string& base) {
    if (plan_.stages.size() >= kMostStages) return plan_.file.at(one.line, "a file has at most 1,000 stages");
    TRY(check_platform(one));
    const std::vector<std::string> words = split_words(one.text, plan_.file.escape);
    const bool named = words.size() == 3 && lower(words[1]) == "as";
    if (words.size() != 1 && !named) return plan_.file.at(one.line, "FROM must be FROM IMAGE or FROM IMAGE AS NAME");
    BuildStage stage{.name = named ? lower(words[2]) : "", .base = TRY(expanded(one, words[0])), .line = one.line};
    if (stage.base.empty()) {
        return plan_.file.at(one.line,
                             "FROM \"" + words[0] + "\" comes to nothing; give its ARG a default, or --build-arg");
    }
    if (plan_.stages.empty() && !base.empty()) stage.base = base;
    const auto same = [&stage](const BuildStage& other) { return !stage.name.empty() && other.name == stage.name; };
    if (std::any_of(plan_.stages.begin(), plan_.stages.end(), same)) {
        return plan_.file.at(one.line, "a stage before this one is called \"" + stage.name + "\" already");
    }
    const std::string wanted = lower(stage.base);
    for (size_t i = 0; i < plan_.stages.size(); ++i) {
        if (!plan_.stages[i].name.empty() && plan_.stages[i].name == wanted) stage.base_stage = i;
    }
    plan_.stages.push_back(std::move(stage));
    return {};
}

/// What an instruction takes files from: stages or images.
std::vector<std::string> Planner::sources_of(const Instruction& one) const {
    std::vector<std::string> names;
    for (const Flag& flag : one.flags) {
        if (flag.name == "from") names.push_back(flag.value);
        if (flag.name != "mount") continue;
        std::string_view rest = flag.value;
        while (!rest.empty()) {
            const std::string_view part = rest.substr(0, rest.find(','));
            rest.remove_prefix(std::min(rest.size(), part.size() + 1));
            if (part.starts_with("from=")) names.emplace_back(part.substr(5));
        }
    }
    return names;
}

Result<void> Planner::find_target(const std::string& target) {
    plan_.target = plan_.stages.size() - 1;
    if (target.empty()) return {};
    const auto found = plan_.stage_named(target, plan_.stages.size());
    if (!found) return invalid("--target: " + plan_.file.name + " has no stage \"" + target + "\"");
    plan_.target = *found;
    return {};
}

Result<void> Planner::settle_order() {
    std::vector<bool> needed(plan_.stages.size(), false);
    needed[plan_.target] = true;
    for (size_t i = plan_.stages.size(); i-- > 0;) {
        if (!needed[i]) continue;
        if (plan_.stages[i].base_stage) needed[*plan_.stages[i].base_stage] = true;
        for (const Instruction& one : plan_.stages[i].instructions) {
            for (const std::string& name : sources_of(one)) {
                if (const auto stage = plan_.stage_named(name, i)) {
                    needed[*stage] = true;
                } else if (plan_.stage_named(name, plan_.stages.size())) {
                    return plan_.file.at(one.line, "--from=" + name + " is not a stage before this one; move that up");
                }
            }
        }
    }
    for (size_t i = 0; i < needed.size(); ++i) {
        if (needed[i]) plan_.order.push_back(i);
    }
    return {};
}

Result<BuildPlan> Planner::run(const std::string& target, const std::string& base) {
    auto all = std::exchange(plan_.file.instructions, {});
    for (Instruction& one : all) {
        if (one.name == "FROM") {
            TRY(begin_stage(one, base));
        } else if (!plan_.stages.empty()) {
            plan_.stages.back().instructions.push_back(std::move(one));
        } else if (one.name == "ARG") {
            TRY(global(one));
        } else {
            return plan_.file.at(one.line, one.name + " comes before the first FROM, where only ARG may stand");
        }
    }
    if (plan_.stages.empty()) return invalid(plan_.file.name + ": has no FROM; it says what the image stands on");
    TRY(find_target(target));
    TRY(settle_order());
    return std::move(plan_);
}

}  // namespace

std::optional<size_t> BuildPlan::stage_named(const std::string& name, size_t stage) const {
    const std::string wanted = lower(name);
    for (size_t i = 0; i < std::min(stage, stages.size()); ++i) {
        if (wanted == std::to_string(i) || (!wanted.empty() && stages[i].name == wanted)) return i;
    }
    return std::nullopt;
}

Result<BuildPlan> plan_build(Containerfile file, std::map<std::string, std::string> given, const std::string& target,
                             const std::string& base) {
    return Planner(std::move(file), std::move(given)).run(target, base);
}

const std::map<std::string, std::string>& platform_arguments() {
    static const std::map<std::string, std::string> kAll = [] {
        std::map<std::string, std::string> all;
        for (const std::string of : {"TARGET", "BUILD"}) {
            all[of + "PLATFORM"] = "linux/" + architecture();
            all[of + "OS"] = "linux";
            all[of + "ARCH"] = architecture();
            all[of + "VARIANT"] = "";
        }
        return all;
    }();
    return kAll;
}

bool is_proxy_argument(const std::string& name) {
    const std::string small = lower(name);
    return small == "http_proxy" || small == "https_proxy" || small == "ftp_proxy" || small == "no_proxy" ||
           small == "all_proxy";
}

}  // namespace hutch::client
