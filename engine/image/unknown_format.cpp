#include <algorithm>
#include <array>
#include <string_view>

#include "engine/core/file_kind.h"
#include "engine/image/codec.h"

namespace impasto::codec {
namespace {

constexpr const char* kExport = "; export it as PNG first";
constexpr const char* kOnePicture =
    "; save one of its pictures first: ffmpeg -i FILE -frames:v 1 PICTURE.png";
constexpr const char* kConvert =
    "; convert it: magick PICTURE PICTURE.png (ImageMagick; its older name is convert)";
constexpr const char* kWeights = "; weights are given with --weights";

}  // namespace

Error unknown_format(Bytes file) {
  struct Step {
    std::string_view word;  ///< in the kind's name
    const char* next;
  };
  // The first that fits counts.
  static constexpr std::array kSteps{
      Step{"HEIC", "; convert it: heif-convert PICTURE PICTURE.jpg (Debian package libheif-examples)"},
      Step{"AVIF", "; convert it: avifdec PICTURE PICTURE.png (Debian package libavif-bin)"},
      Step{"JPEG XL", "; convert it: djxl PICTURE PICTURE.png (Debian package libjxl-tools)"},
      Step{"raw camera", kDevelopRaw},
      Step{"SVG", kExport},
      Step{"document", kExport},
      Step{"video", kOnePicture},
      Step{"animation", kOnePicture},
      Step{"picture", kConvert},
      Step{"icon", kConvert},
      Step{"texture", kConvert},
      Step{"web page", "; download the picture itself, not the page that shows it"},
      Step{"Git LFS", "; fetch the file that it stands for: git lfs pull"},
      Step{".npz", "; save one of its arrays as PNG"},
      Step{".npy", "; save it as PNG"},
      Step{"archive", "; unpack it and name the picture inside"},
      Step{"compressed", "; unpack it and name the picture inside"},
      Step{"model", kWeights},
      Step{"PyTorch", kWeights},
      Step{"HDF5", kWeights},
      Step{"safetensors", kWeights},
      Step{"MATLAB", kWeights}};
  const std::string kind = describe_file_kind(file.first(std::min(file.size(), kFileKindBytes)));
  const auto step = std::find_if(kSteps.begin(), kSteps.end(),
                                 [&](const Step& s) { return kind.find(s.word) != std::string::npos; });
  return make_error(ErrorCode::kBadInput, "expected a JPEG, PNG, WebP or TIFF picture, found {}{}",
                    kind.empty() ? "none of these" : kind, step == kSteps.end() ? "" : step->next);
}

}  // namespace impasto::codec
