// What these pages gain where scripts run. Without it, every page still works: the answer to an application has a
// visible button, and passwords stay hidden.
(() => {
  "use strict";

  // Send the answer on to the application (OAuth 2.0 Form Post Response Mode, section 2). The method is taken from
  // the prototype, because a field called "submit" would stand in front of the form's own.
  const answer = document.querySelector("form[data-answer]");
  if (answer) {
    HTMLFormElement.prototype.submit.call(answer);
  }

  // Show or hide what is typed into a password field.
  for (const button of document.querySelectorAll("button[data-reveals]")) {
    const field = document.getElementById(button.dataset.reveals);
    if (!field) {
      continue;
    }
    const show = (visible) => {
      field.type = visible ? "text" : "password";
      button.textContent = visible ? button.dataset.hide : button.dataset.show;
      button.setAttribute("aria-label", visible ? button.dataset.hideLabel : button.dataset.showLabel);
    };
    button.addEventListener("click", () => {
      show(field.type === "password");
      field.focus();
    });
    // A field that is sent, or left for another page, is a password field again: browsers then neither remember
    // its text for other forms nor show it when one comes back.
    field.form?.addEventListener("submit", () => show(false));
    window.addEventListener("pagehide", () => show(false));
    show(false);
    button.hidden = false;
  }
})();
