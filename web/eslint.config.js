import globals from "globals";

// The recommended rules of @eslint/js, as far as tsc does not check the same, and what keeps device data text.
export default [
  { ignores: ["node_modules/"] },
  {
    files: ["**/*.js", "**/*.mjs"],
    languageOptions: { ecmaVersion: 2023, sourceType: "module", globals: { ...globals.browser, ...globals.node } },
    rules: {
      "no-unused-vars": "error",
      "no-undef": "error",
      eqeqeq: "error",
      "prefer-const": "error",
      "no-var": "error",
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-new-func": "error",
      "no-console": "error",
      "max-len": ["error", { code: 160, ignoreTemplateLiterals: true, ignoreStrings: true, ignoreComments: true }],
      "no-restricted-properties": ["error", { property: "innerHTML" }, { property: "outerHTML" }, { property: "insertAdjacentHTML" }, { property: "dangerouslySetInnerHTML" }],
    },
  },
];
