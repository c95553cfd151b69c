#include "client/image_build.h"

#include <fcntl.h>

#include <filesystem>

#include "base/file.h"
#include "client/build/builder.h"
#include "client/place.h"
#include "client/settings.h"

namespace hutch::client {
namespace {

namespace fs = std::filesystem;

/// That of -f, below where we are; else the context's own.
Result<std::string> find_containerfile(const ContainerfileOptions& options) {
    if (!options.file.empty()) return options.file;
    std::error_code code;
    for (const char* name : {"Containerfile", "Dockerfile"}) {
        std::string path = join_path(options.directory, name);
        if (fs::exists(path, code)) return path;
    }
    return Error{ErrorKind::kNotFound, 0,
                 options.directory + " has no Containerfile and no Dockerfile; name one with -f"};
}

Result<std::map<std::string, std::string>> given_arguments(const std::vector<std::string>& words) {
    const Json variables = TRY(variables_of("--build-arg", words));
    std::map<std::string, std::string> given;
    for (const auto& [name, value] : variables.items()) given[name] = value.get<std::string>();
    return given;
}

Result<std::map<std::string, BuildSecret>> given_secrets(const std::vector<std::string>& words) {
    std::map<std::string, BuildSecret> secrets;
    for (const std::string& word : words) {
        auto fields = fields_of(word);
        BuildSecret secret{fields.contains("src") ? fields["src"] : fields["source"], fields["env"]};
        if (fields["id"].empty() || secret.file.empty() == secret.variable.empty()) {
            return invalid("--secret: \"" + word + "\" must be id=ID,src=FILE or id=ID,env=NAME");
        }
        secrets[fields["id"]] = std::move(secret);
    }
    return secrets;
}

}  // namespace

Result<Json> build_containerfile(const Program& program, const ContainerfileOptions& options) {
    const std::string path = TRY(find_containerfile(options));
    constexpr size_t kMost = size_t{2} << 20;  // what is too long is said by who parses it
    const std::string text = TRY(read_file_at(AT_FDCWD, path, kMost));
    auto file = TRY(parse_containerfile(path, text));
    auto given = TRY(given_arguments(options.arguments));
    BuildPlan plan = TRY(plan_build(std::move(file), std::move(given), options.target, options.from));
    BuildContext context = TRY(BuildContext::open(options.directory, path));
    Builder::Options how{options.image, options.fresh, TRY(given_secrets(options.secrets))};
    const Api api = TRY(program.api());
    Afterwards afterwards =
        TRY(Afterwards::start([&api](const std::string& boxes) { return remove_workshops(api, boxes); }));
    auto built = [&] {
        Builder builder(api, afterwards, std::move(plan), std::move(context), std::move(how));
        return builder.run();
    }();
    (void)afterwards.finish();  // it tells what it could not do
    return built;
}

}  // namespace hutch::client
