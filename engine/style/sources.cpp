#include "engine/style/sources.h"

#include <algorithm>
#include <utility>

#include "engine/style/picture.h"

namespace impasto {
namespace {

SourcePicture opaque(PictureRef picture) {
  if (picture.reduced() != nullptr) return SourcePicture(*picture.reduced());
  const Image& image = *picture.whole();
  return image.has_alpha() ? SourcePicture(flatten(image)) : SourcePicture(image);
}

}  // namespace

SourcePicture SourcePicture::at(PixelSize size) const {
  if (reduced_ != nullptr) {
    return grey_ ? SourcePicture(reduced_->grey_at(size)) : SourcePicture(reduced_->at(size));
  }
  if (image().size() == size) return SourcePicture(image());
  return SourcePicture(resize(image(), size, Overshoot::kClip));
}

bool SourcePicture::is_grey() const {
  return reduced_ != nullptr ? reduced_->is_grey() : impasto::is_grey(image());
}

void SourcePicture::make_grey() {
  grey_ = true;
  if (reduced_ != nullptr) return;
  Image image = this->image();
  impasto::make_grey(image);
  own_ = std::move(image);
}

Sources::Sources(const RenderInput& input, bool with_start) : content_(opaque(input.content)) {
  std::vector<SourcePicture*> all{&content_};
  styles_.reserve(input.styles.size());
  for (const StyleInput& style : input.styles) {
    styles_.push_back(opaque(style.picture));
    all.push_back(&styles_.back());
  }
  if (with_start) {
    start_ = opaque(input.start);
    all.push_back(&start_);
  }
  grey_ = std::all_of(all.begin(), all.end(), [](const SourcePicture* p) { return p->is_grey(); });
  if (!grey_) return;
  for (SourcePicture* const picture : all) picture->make_grey();
}

}  // namespace impasto
